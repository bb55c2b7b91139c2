/**
 * A program on the GPU.
 *
 * @module
 */
import { type CompileOptions, type DecodeRequest, DeviceError, type Executable } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Buffer, Cache, Program, RowKind } from "../engine/program.ts";
import { Arena } from "./arena.ts";
import { BatchInputs } from "./batch_inputs.ts";
import type { Gpu } from "./device.ts";
import { type Dispatch, lower } from "./lower.ts";
import { maxSteps, PersistentDecode } from "./persistent_decode.ts";
import { Pipelines } from "./pipelines.ts";
import { Readback } from "./readback.ts";
import { WeightStore } from "./weights.ts";

/** A dispatch with everything made. */
interface Ready extends Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/** Bytes of device memory that {@link GpuExecutable.compile} takes. */
export function estimateBytes(gpu: Gpu, program: Program, options: CompileOptions): number {
  const headDim = program.caches[0]?.headDim ?? 0;
  const buffers = program.buffers.reduce((sum, buffer) => sum + rowsOf(buffer.rows, options) * buffer.cols * 4, 0);
  const caches = program.caches.reduce((sum, cache) => sum + cacheBytes(cache, options), 0);
  const normed = widest(program) * 4 * (options.maxRows + options.maxOutputs);
  const weights = new WeightStore(program, options.formats, gpu.limits.maxStorageBufferBindingSize).bytes;
  return buffers + caches + normed + weights + BatchInputs.bytes(options, headDim) + rowsOf("outputs", options) * program.logits.cols * 4;
}

/** Compiled program, weights and KV cache on one device. */
export class GpuExecutable implements Executable {
  readonly #gpu: Gpu;
  readonly #program: Program;
  readonly #inputs: BatchInputs;
  readonly #weights: WeightStore;
  readonly #buffers: GPUBuffer[];
  readonly #others: GPUBuffer[];
  readonly #ready: Ready[];
  readonly #readback: Readback;
  readonly #walk: PersistentDecode | string;
  #closed = false;

  private constructor(parts: {
    gpu: Gpu;
    program: Program;
    inputs: BatchInputs;
    weights: WeightStore;
    buffers: GPUBuffer[];
    others: GPUBuffer[];
    ready: Ready[];
    readback: Readback;
    walk: PersistentDecode | string;
  }) {
    this.#gpu = parts.gpu;
    this.#program = parts.program;
    this.#inputs = parts.inputs;
    this.#weights = parts.weights;
    this.#buffers = parts.buffers;
    this.#others = parts.others;
    this.#ready = parts.ready;
    this.#readback = parts.readback;
    this.#walk = parts.walk;
  }

  /** @throws {DeviceError} when the device is too small or a kernel does not compile. */
  static async compile(gpu: Gpu, program: Program, options: CompileOptions): Promise<GpuExecutable> {
    const { device, limits } = gpu, bindingBytes = limits.maxStorageBufferBindingSize, storage = storageOn(device);
    for (const cache of program.caches) {
      if (cacheBytes(cache, options) > bindingBytes) {
        const most = Math.floor(bindingBytes / cacheBytes(cache, options) * options.blocks);
        throw new DeviceError(`Cannot allocate the KV cache: ${options.blocks} blocks need ${cacheBytes(cache, options)} bytes a layer, \
${gpu.name} binds ${bindingBytes}; ask for at most ${most} blocks`);
      }
    }
    device.pushErrorScope("out-of-memory");
    const weights = new WeightStore(program, options.formats, bindingBytes), pipelines = new Pipelines(device);
    const inputs = new BatchInputs(device, options, program.caches[0]?.headDim ?? 0);
    const buffers = program.buffers.map((buffer) => storage(buffer.name, rowsOf(buffer.rows, options) * buffer.cols * 4));
    const cacheArena = new Arena(bindingBytes), places = new Map(program.caches.map((cache) => [cache, cacheArena.plan(cacheBytes(cache, options))]));
    cacheArena.allocate(device, "kv");
    const normed: Record<RowKind, GPUBuffer> = {
      tokens: storage("normed", options.maxRows * widest(program) * 4),
      outputs: storage("normed outputs", options.maxOutputs * widest(program) * 4),
    };
    const nothing = storage("nothing", 16);
    weights.allocate(device, pipelines);
    const memory = {
      inputs,
      weights,
      normed,
      nothing,
      buffer: (buffer: Buffer) => buffers[buffer.id],
      cache: (cache: Cache) => cacheArena.range(places.get(cache)!),
    };
    const outOfMemory = await device.popErrorScope();
    if (outOfMemory) {
      throw new DeviceError(`Cannot allocate ${estimateBytes(gpu, program, options)} bytes on ${gpu.name}: ${outOfMemory.message}`);
    }
    const ready = await Promise.all(
      lower(program, options, memory).map(async (dispatch) => {
        const { pipeline, layout } = await pipelines.get(dispatch.kernel);
        const entries = dispatch.resources.map((resource, binding) => ({ binding, resource: resource instanceof GPUBuffer ? { buffer: resource } : resource }));
        return { ...dispatch, pipeline, group: device.createBindGroup({ label: dispatch.label, layout, entries }) };
      }),
    );
    await weights.prepare();
    const walk = await PersistentDecode.create(gpu, program, options, memory, pipelines, gpu.workgroups);
    const readback = await Readback.create(device, options.maxOutputs * program.logits.cols * 4);
    return new GpuExecutable({
      gpu,
      program,
      inputs,
      weights,
      buffers,
      others: [...cacheArena.buffers, normed.tokens, normed.outputs, nothing],
      ready,
      readback,
      walk,
    });
  }

  writeRows(tensor: string, firstRow: number, bytes: Uint8Array): void {
    this.#weights.write(tensor, firstRow, bytes);
  }

  finishWeights(): Promise<void> {
    this.#weights.finish();
    return this.#guard(this.#gpu.device.queue.onSubmittedWorkDone());
  }

  async execute(batch: Batch): Promise<Float32Array> {
    const outputs = batch.outputRows.length;
    const encoder = this.#record(batch, batch.inputsEmbeds ? 1 : 0, this.#program.steps.length);
    if (outputs > 0) this.#readback.record(encoder, this.#buffers[this.#program.logits.id], 0, outputs * this.#program.logits.cols * 4);
    this.#gpu.device.queue.submit([encoder.finish()]);
    if (outputs === 0) return new Float32Array(0);
    return new Float32Array(await this.#guard(this.#readback.read(outputs * this.#program.logits.cols * 4)));
  }

  /** Why tokens are not decoded by the persistent walk; undefined when they are. */
  get whyNotPersistent(): string | undefined {
    return typeof this.#walk === "string" ? this.#walk : undefined;
  }

  /** Tokens that {@link GpuExecutable.decode} makes at most in one call; 0 when it cannot. */
  get maxDecodeSteps(): number {
    return typeof this.#walk === "string" ? 0 : maxSteps;
  }

  /** See {@link PersistentDecode.decode}. */
  decode(request: DecodeRequest): Promise<Uint32Array> {
    if (this.#closed) throw new DeviceError("Cannot decode: the executable is closed");
    if (typeof this.#walk === "string") throw new DeviceError(`Cannot decode by the persistent walk: ${this.#walk}`);
    return this.#guard(this.#walk.decode(request));
  }

  /** Runs steps `first` up to but not including `end`, so that a test can look at what each of them wrote. */
  async executeSteps(batch: Batch, first: number, end: number): Promise<void> {
    const encoder = this.#record(batch, first, end);
    this.#gpu.device.queue.submit([encoder.finish()]);
    await this.#guard(this.#gpu.device.queue.onSubmittedWorkDone());
  }

  /** Writes the batch and records steps `first .. end`. */
  #record(batch: Batch, first: number, end: number): GPUCommandEncoder {
    if (this.#closed) throw new DeviceError("Cannot run a batch: the executable is closed");
    const { device } = this.#gpu;
    this.#inputs.write(batch);
    if (batch.inputsEmbeds) device.queue.writeBuffer(this.#embedded(), 0, batch.inputsEmbeds as Float32Array<ArrayBuffer>);
    const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
    for (const dispatch of this.#ready) {
      const rows = dispatch.rowKind === "tokens" ? batch.tokens.length : batch.outputRows.length;
      if (dispatch.step < first || dispatch.step >= end || rows < dispatch.minRows || rows > dispatch.maxRows) continue;
      const [x, y] = dispatch.grid(rows);
      pass.setPipeline(dispatch.pipeline);
      pass.setBindGroup(0, dispatch.group);
      pass.dispatchWorkgroups(x, y);
    }
    pass.end();
    return encoder;
  }

  async read(buffer: string, rows: number): Promise<Float32Array> {
    const found = this.#program.buffers.find(({ name }) => name === buffer);
    if (!found) throw new RangeError(`Cannot read ${buffer}: the program has no such buffer`);
    const bytes = rows * found.cols * 4, staging = await Readback.create(this.#gpu.device, bytes);
    const encoder = this.#gpu.device.createCommandEncoder();
    staging.record(encoder, this.#buffers[found.id], 0, bytes);
    this.#gpu.device.queue.submit([encoder.finish()]);
    const data = await this.#guard(staging.read(bytes));
    staging.destroy();
    return this.#inCheckpointOrder(found, new Float32Array(data));
  }

  /** Undoes the order in which pack.wgsl put the rows of q and k; every other buffer as it is. */
  #inCheckpointOrder(buffer: Buffer, values: Float32Array): Float32Array {
    const step = this.#program.steps.find(({ op, binds }) => op === "ropeStore" && binds[0] === buffer);
    if (!step) return values;
    const { heads, kvHeads, headDim } = step.consts, rotated = (heads + kvHeads) * headDim;
    return values.map((value, at) => {
      const column = at % buffer.cols, d = column % headDim;
      if (column >= rotated) return value;
      return values[at - d + (d < headDim / 2 ? 2 * d : 2 * d + 1 - headDim)];
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inputs.destroy();
    this.#weights.destroy();
    this.#readback.destroy();
    if (typeof this.#walk !== "string") this.#walk.destroy();
    for (const buffer of [...this.#buffers, ...this.#others]) buffer.destroy();
  }

  /** What the embed step writes. */
  #embedded(): GPUBuffer {
    const out = this.#program.steps[0].binds[1] as Buffer;
    return this.#buffers[out.id];
  }

  /** Turns a lost device into a rejection instead of a wait without end. */
  #guard<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#gpu.failed]);
  }
}

function storageOn(device: GPUDevice) {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  return (label: string, bytes: number) => device.createBuffer({ label, size: Math.max(16, Math.ceil(bytes / 16) * 16), usage });
}

function rowsOf(kind: RowKind, options: CompileOptions): number {
  return kind === "tokens" ? options.maxRows : options.maxOutputs;
}

function cacheBytes(cache: Cache, options: CompileOptions): number {
  return options.blocks * options.blockSize * 2 * cache.kvHeads * cache.headDim * (options.cacheType === "f32" ? 4 : 2);
}

/** Widest input of a norm. */
function widest(program: Program): number {
  return Math.max(...program.steps.flatMap((step) => step.op === "normLinear" || step.op === "normGatedLinear" ? [(step.binds[0] as Buffer).cols] : [1]));
}
