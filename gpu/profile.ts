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
import { attentionWork, type Counts } from "./batch_inputs.ts";
import type { Gpu } from "./device.ts";
import type { Dispatch, Grid } from "./dispatch.ts";
import { Readback } from "./readback.ts";

/** A dispatch that can be recorded at any time, and what it must do at least. */
export interface Timed {
  /** Dispatches of the same name are one row. */
  readonly kernel: string;
  /** Everything that it must read or write, once. */
  readonly bytes: number;
  /** Multiplications and additions; 0 where they do not count. */
  readonly operations: number;
  record(pass: GPUComputePassEncoder): void;
}

/** Dispatches of one name. */
export interface ProfileRow {
  readonly kernel: string;
  readonly count: number;
  /** Of all of them, microseconds. */
  readonly timeUs: number;
  /** Of all of them. */
  readonly bytes: number;
  readonly operations: number;
}

/** Times of a step. */
export interface Profile {
  /** In the order in which they first run. */
  readonly rows: readonly ProfileRow[];
  /** The whole step in one pass, microseconds. */
  readonly stepUs: number;
}

/** Work that goes before what is measured. */
const warmUpUs = 60_000;
const repetitions = 5;
/** Queries of a set. */
const mostQueries = 4096;
/** Bytes that the read of {@link measureBandwidth} goes through: more than caches hold. */
const readBytes = 512 << 20;

/** A dispatch with everything made. */
export interface Ready {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: NonNullable<Grid>;
}

/** The dispatches of a batch as they are timed. Those of all layers have one name. */
export function timed(ready: readonly Ready[], batch: Batch, counts: Counts): Timed[] {
  const work = { ...counts, ...attentionWork(batch) };
  return ready.map(({ dispatch, pipeline, group, grid }) => ({
    kernel: dispatch.label.replace(/^\d+\./, ""),
    ...dispatch.cost?.(work) ?? { bytes: 0, operations: 0 },
    record(pass) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...grid);
    },
  }));
}

/**
 * Times a step; it is run some dozens of times.
 *
 * @throws {DeviceError} when the device has no timestamps.
 */
export async function profileStep(gpu: Gpu, step: readonly Timed[]): Promise<Profile> {
  const whole = (pass: GPUComputePassEncoder) => step.forEach((timed) => timed.record(pass));
  const [once] = await timePasses(gpu, [whole]), before = Math.min(1000, Math.ceil(warmUpUs / Math.max(1, once)));
  const passes = [whole, ...step.map((timed) => (pass: GPUComputePassEncoder) => timed.record(pass))], runs: number[][] = [];
  for (let run = 0; run < repetitions; run++) runs.push(await timePasses(gpu, passes, (pass) => repeat(before, () => whole(pass))));
  const medians = passes.map((_, i) => median(runs.map((times) => times[i])));
  const rows = new Map<string, ProfileRow>();
  step.forEach(({ kernel, bytes, operations }, i) => {
    const row = rows.get(kernel) ?? { kernel, count: 0, timeUs: 0, bytes: 0, operations: 0 };
    rows.set(kernel, {
      kernel,
      count: row.count + 1,
      timeUs: row.timeUs + medians[i + 1],
      bytes: row.bytes + bytes,
      operations: row.operations + operations,
    });
  });
  return { rows: [...rows.values()], stepUs: medians[0] };
}

/**
 * What the memory gives a kernel that only reads: the floor that dispatches are held against.
 *
 * @returns Bytes a second.
 * @throws {DeviceError} when the device has no timestamps, or no memory left for the buffer that is read.
 */
export async function measureBandwidth(gpu: Gpu): Promise<number> {
  const { device, pipelines } = gpu, size = Math.min(readBytes, gpu.bindingBytes, gpu.limits.maxBufferSize);
  const { pipeline, layout } = await pipelines.get({ name: "read_memory", parts: ["read_memory"], access: "rw", constants: {} });
  device.pushErrorScope("out-of-memory");
  const source = device.createBuffer({ label: "read_memory", size, usage: GPUBufferUsage.STORAGE }),
    sums = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
  const error = await device.popErrorScope();
  if (error) throw new DeviceError(`Cannot measure the memory of ${gpu.name}: ${error.message.trim()}; profile a smaller model or context`);
  try {
    const entries = [source, sums].map((buffer, binding) => ({ binding, resource: { buffer } })), group = device.createBindGroup({ layout, entries });
    const read = (pass: GPUComputePassEncoder) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(Math.min(4096, Math.ceil(size / 4096)));
    };
    const [once] = await timePasses(gpu, [read]);
    const times = await timePasses(gpu, Array(7).fill(read), (pass) => repeat(Math.min(1000, Math.ceil(warmUpUs / Math.max(1, once))), () => read(pass)));
    return size / Math.min(...times) * 1e6;
  } finally {
    source.destroy();
    sums.destroy();
  }
}

/** @returns GPU time of each pass, microseconds; `before` is not timed and in the same submit. */
async function timePasses(
  gpu: Gpu,
  passes: readonly ((pass: GPUComputePassEncoder) => void)[],
  before?: (pass: GPUComputePassEncoder) => void,
): Promise<number[]> {
  if (!gpu.timestamps) throw new DeviceError(`Cannot profile: ${gpu.name} grants no timestamp queries`);
  const { device } = gpu, perSet = mostQueries / 2, bytes = 16 * passes.length;
  const sets = Array.from({ length: Math.ceil(passes.length / perSet) }, () => device.createQuerySet({ type: "timestamp", count: mostQueries }));
  const resolved = device.createBuffer({ size: sets.length * mostQueries * 8, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  const readback = await Readback.create(device, bytes);
  try {
    device.pushErrorScope("validation");
    const encoder = device.createCommandEncoder();
    if (before) {
      const pass = encoder.beginComputePass();
      before(pass);
      pass.end();
    }
    passes.forEach((record, i) => {
      const at = 2 * (i % perSet);
      const timestampWrites = { querySet: sets[Math.floor(i / perSet)], beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
      const pass = encoder.beginComputePass({ timestampWrites });
      record(pass);
      pass.end();
    });
    sets.forEach((set, i) => encoder.resolveQuerySet(set, 0, 2 * Math.min(perSet, passes.length - i * perSet), resolved, i * mostQueries * 8));
    readback.record(encoder, resolved, 0, bytes);
    device.queue.submit([encoder.finish()]);
    const error = await device.popErrorScope();
    if (error) throw new DeviceError(`${gpu.name} refused a profile: ${error.message.trim()}`);
    const times = new BigUint64Array(await readback.read(bytes));
    return passes.map((_, i) => Number(times[2 * i + 1] - times[2 * i]) / 1000);
  } finally {
    readback.destroy();
    resolved.destroy();
    for (const set of sets) set.destroy();
  }
}

function repeat(count: number, work: () => void): void {
  for (let i = 0; i < count; i++) work();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
