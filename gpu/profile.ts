/**
 * Where a step's time goes: each dispatch in a pass of its own between two timestamps, beside what it moves and what the memory could have done in that time.
 *
 * Clocks sink when a GPU idles, so that much of the same work goes before, in the same submit. What a pass of its own costs (its barriers, and waiting until the
 * last workgroup is done) is part of a dispatch's time; {@link Profile.stepUs} is the same step in one pass, as it runs when nobody looks.
 *
 * @module
 */
import { DeviceError } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import { attentionWork } from "./batch_inputs.ts";
import type { Gpu } from "./device.ts";
import type { Cost } from "./dispatch.ts";
import type { GpuExecutable } from "./executable.ts";
import { Readback } from "./readback.ts";

/** Dispatches of one name. */
export interface ProfileRow {
  /** What it belongs to and its kernel, as in `mlp.down linear_int8_rows`; those of all layers have one name. */
  readonly kernel: string;
  readonly count: number;
  /** Of all of them, microseconds. */
  readonly timeUs: number;
  /** Everything that all of them must read or write, once. */
  readonly bytes: number;
  /** Multiplications and additions; 0 where they do not count. */
  readonly operations: number;
  /** By how much the step in one pass is shorter without them, microseconds: what a fusion can bring at most. */
  readonly marginalUs?: number;
}

/** Times of a step. */
export interface Profile {
  /** In the order in which they first run. */
  readonly rows: readonly ProfileRow[];
  /** The whole step in one pass, microseconds. */
  readonly stepUs: number;
}

/** Records dispatches. */
type Recording = (pass: GPUComputePassEncoder) => void;

const noCost: Cost = { bytes: 0, operations: 0 };
/** Work that goes before what is measured. */
const warmUpUs = 60_000;
/** Such submits go on for so long first: a device that had nothing to do needs it to come back to its clocks. */
const settleMs = 400;
const repetitions = 5;
/** Queries of a set. */
const mostQueries = 4096;
/** Bytes that {@link measureBandwidth} reads: more than caches hold. */
const readBytes = 512 << 20;

/**
 * Times a batch dispatch by dispatch; it is computed some dozens of times.
 *
 * @param options `marginal`: also the step without each kernel, which leaves nonsense in the KV cache.
 * @throws {DeviceError} when the device has no timestamps.
 */
export async function profileBatch(executable: GpuExecutable, batch: Batch, options: { readonly marginal?: boolean } = {}): Promise<Profile> {
  const { counts, recorded } = await executable.prepare(batch), work = { ...counts, ...attentionWork(batch) }, { gpu } = executable;
  const each = recorded.map(({ pipeline, group, grid }): Recording => (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...grid);
  });
  const names = recorded.map(({ dispatch }) => dispatch.label.replace(/^\d+\./, "")), kernels = [...new Set(names)];
  const without = (kernel: string): Recording => (pass) => each.forEach((record, i) => names[i] !== kernel && record(pass));
  const whole: Recording = (pass) => each.forEach((record) => record(pass)), passes = [whole, ...each, ...options.marginal ? kernels.map(without) : []];
  const before = repeated(whole, warmUps(await timePasses(gpu, [whole])));
  await settle(() => timePasses(gpu, [whole], before));
  const runs: number[][] = [];
  for (let run = 0; run < repetitions; run++) runs.push(await timePasses(gpu, passes, before));
  const medians = passes.map((_, i) => median(runs.map((times) => times[i]))), costs = recorded.map(({ dispatch }) => dispatch.cost?.(work) ?? noCost);
  const rows = kernels.map((kernel, k) => {
    const sum = (of: (i: number) => number) => names.reduce((total, name, i) => name === kernel ? total + of(i) : total, 0);
    const row = {
      kernel,
      count: sum(() => 1),
      timeUs: sum((i) => medians[1 + i]),
      bytes: sum((i) => costs[i].bytes),
      operations: sum((i) => costs[i].operations),
    };
    return options.marginal ? { ...row, marginalUs: medians[0] - medians[1 + each.length + k] } : row;
  });
  return { rows, stepUs: medians[0] };
}

/**
 * Times the persistent walk of a token: one row, which has to move what all dispatches of the batch have to.
 *
 * @param batch One row, its block table with room for `steps` tokens, at most 64: most of them warm up.
 * @param rope `[steps - 1, headDim]` rotations of the positions after the batch's.
 * @returns Undefined when the walk does not take this model or device.
 */
export async function profileWalk(executable: GpuExecutable, batch: Batch, rope: Float32Array): Promise<Profile | undefined> {
  const { counts, recorded } = await executable.prepare(batch), work = { ...counts, ...attentionWork(batch) }, times: number[] = [];
  const costs = recorded.map(({ dispatch }) => dispatch.cost?.(work) ?? noCost);
  const steps = 1 + rope.length / batch.rope.length, timed = Math.min(8, steps);
  const time = async () => {
    const walk = await executable.prepareWalk(batch, rope);
    return walk && (await timePasses(executable.gpu, [repeated(walk, timed)], repeated(walk, steps - timed)))[0] / timed;
  };
  if (await time() === undefined) return undefined;
  await settle(time);
  for (let run = 0; run < repetitions; run++) times.push((await time())!);
  const stepUs = median(times), sum = (of: (cost: (typeof costs)[number]) => number) => costs.reduce((total, cost) => total + of(cost), 0);
  return {
    rows: [{ kernel: "persistent", count: 1, timeUs: stepUs, bytes: sum(({ bytes }) => bytes), operations: sum(({ operations }) => operations) }],
    stepUs,
  };
}

/**
 * What the memory gives a kernel that only reads: the floor that dispatches are held against.
 *
 * @returns Bytes a second.
 * @throws {DeviceError} when the device has no timestamps, or no memory left for the buffer that is read.
 */
export async function measureBandwidth(gpu: Gpu): Promise<number> {
  const { device, pipelines } = gpu, size = Math.min(readBytes, gpu.bindingBytes, gpu.limits.maxBufferSize), usage = GPUBufferUsage.STORAGE;
  const { pipeline, layout } = await pipelines.get({ name: "read_memory", parts: ["read_memory"], access: "rw", constants: {} });
  device.pushErrorScope("out-of-memory");
  const source = device.createBuffer({ label: "read_memory", size, usage }), sums = device.createBuffer({ size: 16, usage });
  const error = await device.popErrorScope();
  try {
    if (error) throw new DeviceError(`Cannot measure the memory of ${gpu.name}: ${error.message.trim()}; profile a smaller model or context`);
    const entries = [source, sums].map((buffer, binding) => ({ binding, resource: { buffer } })), group = device.createBindGroup({ layout, entries });
    const read: Recording = (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(Math.min(4096, Math.ceil(size / 4096)));
    };
    const before = repeated(read, warmUps(await timePasses(gpu, [read])));
    await settle(() => timePasses(gpu, [read], before));
    const times = await timePasses(gpu, Array(repetitions).fill(read), before);
    return size / Math.min(...times) * 1e6;
  } finally {
    source.destroy();
    sums.destroy();
  }
}

/**
 * @param before Is not timed, and in the same submit.
 * @returns GPU time of each pass, microseconds.
 */
async function timePasses(gpu: Gpu, passes: readonly Recording[], before: Recording = () => {}): Promise<number[]> {
  if (!gpu.timestamps) throw new DeviceError(`Cannot profile: ${gpu.name} grants no timestamp queries`);
  const { device } = gpu, perSet = mostQueries / 2, bytes = 16 * passes.length;
  const sets = Array.from({ length: Math.ceil(passes.length / perSet) }, () => device.createQuerySet({ type: "timestamp", count: mostQueries }));
  const resolved = device.createBuffer({ size: sets.length * mostQueries * 8, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  const readback = await Readback.create(device, bytes);
  try {
    device.pushErrorScope("validation");
    const encoder = device.createCommandEncoder();
    const pass = (record: Recording, timestampWrites?: GPUComputePassTimestampWrites) => {
      const pass = encoder.beginComputePass({ timestampWrites });
      record(pass);
      pass.end();
    };
    pass(before);
    passes.forEach((record, i) => {
      const at = 2 * (i % perSet);
      pass(record, { querySet: sets[Math.floor(i / perSet)], beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 });
    });
    sets.forEach((set, i) => encoder.resolveQuerySet(set, 0, 2 * Math.min(perSet, passes.length - i * perSet), resolved, i * mostQueries * 8));
    readback.record(encoder, resolved, 0, bytes);
    device.queue.submit([encoder.finish()]);
    const error = await Promise.race([gpu.failed, device.popErrorScope()]);
    if (error) throw new DeviceError(`${gpu.name} refused a profile: ${error.message.trim()}`);
    const stamps = new BigUint64Array(await readback.read(bytes));
    return passes.map((_, i) => Number(stamps[2 * i + 1] - stamps[2 * i]) / 1000);
  } finally {
    readback.destroy();
    resolved.destroy();
    for (const set of sets) set.destroy();
  }
}

/** Does work until clocks that sank while the device had nothing to do are up again. */
async function settle(work: () => Promise<unknown>): Promise<void> {
  const startMs = performance.now();
  do await work(); while (performance.now() - startMs < settleMs);
}

/** How often work that took so long has to go before, so that clocks are up. */
function warmUps([timeUs]: readonly number[]): number {
  return Math.min(1000, Math.ceil(warmUpUs / Math.max(1, timeUs)));
}

function repeated(record: Recording, count: number): Recording {
  return (pass) => {
    for (let i = 0; i < count; i++) record(pass);
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
