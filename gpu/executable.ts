/**
 * A program on the GPU.
 *
 * @module
 */
import { type CompileOptions, type DecodeRequest, type DecodeResult, DeviceError, type Executable } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Buffer, Program } from "../engine/program.ts";
import type { Gpu } from "./device.ts";
import { type Dispatch, lower } from "./lower.ts";
import { ProgramMemory } from "./memory.ts";
import { maxSteps, PersistentDecode } from "./persistent_decode.ts";
import { Readback } from "./readback.ts";

/** A dispatch with everything made. */
interface Ready extends Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/** Compiled program, weights and KV cache on one device. */
export class GpuExecutable implements Executable {
  readonly #gpu: Gpu;
  readonly #program: Program;
  readonly #memory: ProgramMemory;
  readonly #ready: readonly Ready[];
  readonly #walk: PersistentDecode | string;
  #closed = false;

  private constructor(gpu: Gpu, program: Program, memory: ProgramMemory, ready: readonly Ready[], walk: PersistentDecode | string) {
    this.#gpu = gpu;
    this.#program = program;
    this.#memory = memory;
    this.#ready = ready;
    this.#walk = walk;
  }

  /** @throws {DeviceError} when the device is too small or a kernel does not compile. */
  static async compile(gpu: Gpu, program: Program, options: CompileOptions): Promise<GpuExecutable> {
    const { device, pipelines } = gpu, memory = new ProgramMemory(gpu, program, options);
    await Promise.race([memory.allocate(), gpu.failed]);
    try {
      const ready = await Promise.all(
        lower(program, options, memory).map(async (dispatch) => {
          const { pipeline, layout } = await pipelines.get(dispatch.kernel);
          const entries = dispatch.resources.map((resource, binding) => ({
            binding,
            resource: resource instanceof GPUBuffer ? { buffer: resource } : resource,
          }));
          return { ...dispatch, pipeline, group: device.createBindGroup({ label: dispatch.label, layout, entries }) };
        }),
      );
      await memory.weights.prepare();
      return new GpuExecutable(gpu, program, memory, ready, await PersistentDecode.create(gpu, program, options, memory, pipelines, gpu.workgroups));
    } catch (error) {
      memory.destroy();
      throw error;
    }
  }

  writeRows(tensor: string, firstRow: number, bytes: Uint8Array): void {
    this.#checkOpen("write weights");
    this.#memory.weights.write(tensor, firstRow, bytes);
  }

  finishWeights(): Promise<void> {
    return this.#guard(() => this.#memory.weights.finish());
  }

  execute(batch: Batch): Promise<Float32Array> {
    const { logits } = this.#program, { readback } = this.#memory, bytes = batch.outputRows.length * logits.cols * 4;
    return this.#guard(async () => {
      await this.#submit(batch, batch.inputsEmbeds ? 1 : 0, this.#program.steps.length, (encoder) => {
        if (bytes > 0) readback.record(encoder, this.#memory.buffer(logits), 0, bytes);
      });
      return bytes > 0 ? new Float32Array(await readback.read(bytes)) : new Float32Array(0);
    });
  }

  /** Why tokens are not decoded by the persistent walk; undefined when they are. */
  get whyNotPersistent(): string | undefined {
    return typeof this.#walk === "string" ? this.#walk : undefined;
  }

  /** Tokens that {@link GpuExecutable.decode} makes at most in one call; 0 when it cannot. */
  get maxDecodeSteps(): number {
    return typeof this.#walk === "string" ? 0 : maxSteps;
  }

  decode({ batch, sampling, steps, rope }: DecodeRequest): Promise<DecodeResult> {
    return this.#guard(async () => {
      if (typeof this.#walk === "string") throw new DeviceError(`Cannot decode by the persistent walk: ${this.#walk}`);
      if (sampling.length !== 1 || sampling[0]?.temperature !== 0) {
        throw new RangeError("Cannot decode: the persistent walk makes one sequence's most likely tokens");
      }
      const angles = new Float32Array(batch.rope.length + rope.length);
      angles.set(batch.rope);
      angles.set(rope, batch.rope.length);
      const { tokens: [token], contextLengths: [length], blockTables: blockTable } = batch;
      return { tokens: await this.#walk.decode({ token, position: length - 1, blockTable, rope: angles, steps }), logits: new Float32Array() };
    });
  }

  /** Runs steps `first` up to but not including `end`, so that a test can look at what each of them wrote. */
  executeSteps(batch: Batch, first: number, end: number): Promise<void> {
    return this.#guard(() => this.#submit(batch, first, end));
  }

  /** Writes the batch, records steps `first .. end` and whatever `more` does, and submits. */
  async #submit(batch: Batch, first: number, end: number, more?: (encoder: GPUCommandEncoder) => void): Promise<void> {
    const { device } = this.#gpu, memory = this.#memory;
    device.pushErrorScope("validation"); // without it a failed encoder yields zeros, and the error comes later
    const counts = memory.inputs.write(batch);
    if (batch.inputsEmbeds) device.queue.writeBuffer(memory.buffer(this.#embedded), 0, batch.inputsEmbeds as Float32Array<ArrayBuffer>);
    const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
    for (const dispatch of this.#ready) {
      const grid = dispatch.step < first || dispatch.step >= end ? undefined : dispatch.grid(counts);
      if (!grid) continue;
      pass.setPipeline(dispatch.pipeline);
      pass.setBindGroup(0, dispatch.group);
      pass.dispatchWorkgroups(...grid);
    }
    pass.end();
    more?.(encoder);
    device.queue.submit([encoder.finish()]);
    const error = await device.popErrorScope();
    if (error) throw new DeviceError(`${this.#gpu.name} refused a batch of ${batch.tokens.length} rows: ${error.message.trim()}`);
  }

  read(buffer: string, rows: number): Promise<Float32Array> {
    return this.#guard(async () => {
      const found = this.#program.buffers.find(({ name }) => name === buffer);
      if (!found) throw new RangeError(`Cannot read ${buffer}: the program has no such buffer`);
      const { device } = this.#gpu, bytes = rows * found.cols * 4, own = this.#memory.readback;
      const readback = bytes <= own.bytes ? own : await Readback.create(device, bytes), encoder = device.createCommandEncoder();
      readback.record(encoder, this.#memory.buffer(found), 0, bytes);
      device.queue.submit([encoder.finish()]);
      const data = await readback.read(bytes);
      if (readback !== own) readback.destroy();
      return this.#inCheckpointOrder(found, new Float32Array(data));
    });
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
    this.#memory.destroy();
    if (typeof this.#walk !== "string") this.#walk.destroy();
  }

  /** What the embed step writes. */
  get #embedded(): Buffer {
    return this.#program.steps[0].binds[1] as Buffer;
  }

  #checkOpen(what: string): void {
    if (this.#closed) throw new DeviceError(`Cannot ${what}: the executable is closed`);
  }

  /** Runs what needs the device. Whatever way a lost one shows, it becomes a {@link DeviceError}, and nothing waits for it without end. */
  async #guard<T>(work: () => T | Promise<T>): Promise<T> {
    this.#checkOpen("use the model");
    const { failed, name } = this.#gpu;
    try {
      return await Promise.race([failed, (async () => await work())()]);
    } catch (error) {
      if (error instanceof DeviceError || error instanceof RangeError || error instanceof TypeError) throw error;
      // A lost device rejects what is under way before it says that it is lost.
      await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 100))]);
      throw new DeviceError(`${name} failed: ${error instanceof Error ? error.message : error}; load the model again`, { cause: error });
    }
  }
}
