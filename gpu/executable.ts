/**
 * A program on the GPU.
 *
 * @module
 */
import { type CompileOptions, type DecodeRequest, type DecodeResult, DeviceError, type Executable } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Buffer, Program } from "../engine/program.ts";
import type { Gpu } from "./device.ts";
import { lower } from "./lower.ts";
import { ProgramMemory } from "./memory.ts";
import { maxSteps, PersistentDecode } from "./persistent_decode.ts";
import { Readback } from "./readback.ts";
import { type Recorded, StepRecorder } from "./step_recorder.ts";

/** Compiled program, weights and KV cache on one device. */
export class GpuExecutable implements Executable {
  readonly #gpu: Gpu;
  readonly #program: Program;
  readonly #memory: ProgramMemory;
  readonly #recorder: StepRecorder;
  readonly #walk: PersistentDecode | string;
  /** Of the call under way. */
  #refusals: Promise<GPUError | null>[] = [];
  #closed = false;

  private constructor(gpu: Gpu, program: Program, memory: ProgramMemory, recorder: StepRecorder, walk: PersistentDecode | string) {
    this.#gpu = gpu;
    this.#program = program;
    this.#memory = memory;
    this.#recorder = recorder;
    this.#walk = walk;
  }

  /**
   * Takes the memory; kernels are compiled when a batch first needs them.
   *
   * @throws {DeviceError} when the device is too small or a kernel that loading needs does not compile.
   */
  static async compile(gpu: Gpu, program: Program, options: CompileOptions): Promise<GpuExecutable> {
    const { device, pipelines } = gpu, memory = new ProgramMemory(gpu, program, options);
    await Promise.race([memory.allocate(), gpu.failed]);
    try {
      await memory.weights.prepare();
      const walk = await PersistentDecode.create(gpu, program, options, memory, pipelines, gpu.workgroups);
      return new GpuExecutable(gpu, program, memory, new StepRecorder(device, pipelines, lower(program, options, memory)), walk);
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

  /** Uploads a batch and prepares its dispatches, which a profiler may record one by one. */
  prepare(batch: Batch): Promise<readonly Recorded[]> {
    return this.#guard(() => this.#prepare(batch));
  }

  async #prepare(batch: Batch): Promise<readonly Recorded[]> {
    const counts = this.#scoped(() => {
      if (batch.inputsEmbeds) this.#gpu.device.queue.writeBuffer(this.#memory.buffer(this.#embedded), 0, batch.inputsEmbeds as Float32Array<ArrayBuffer>);
      return this.#memory.inputs.write(batch);
    });
    await this.#recorder.compile(counts);
    this.#checkOpen("run a batch");
    return this.#scoped(() => this.#recorder.plan(counts));
  }

  /** Uploads the batch, records steps `first .. end` and whatever `more` does, and submits. */
  async #submit(batch: Batch, first: number, end: number, more?: (encoder: GPUCommandEncoder) => void): Promise<void> {
    const all = await this.#prepare(batch), isWhole = first === 0 && end === this.#program.steps.length;
    this.#scoped(() => {
      const { device } = this.#gpu, encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
      this.#recorder.record(pass, isWhole ? all : all.filter(({ dispatch: { step } }) => step >= first && step < end));
      pass.end();
      more?.(encoder);
      device.queue.submit([encoder.finish()]);
    });
  }

  /**
   * Does work whose refusal by the device {@link GpuExecutable.#guard} is to notice: without a scope a failed encoder yields zeros, and an uncaptured error
   * comes when they are long read. Waits for nothing.
   */
  #scoped<T>(work: () => T): T {
    const { device } = this.#gpu;
    device.pushErrorScope("validation");
    try {
      return work();
    } finally {
      this.#refusals.push(device.popErrorScope());
    }
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
    const checked = async () => {
      const result = await work(), refusal = (await Promise.all(this.#refusals.splice(0))).find((error) => error !== null);
      if (refusal) throw new DeviceError(`${name} refused a batch: ${refusal.message.trim()}`);
      return result;
    };
    try {
      this.#refusals = [];
      return await Promise.race([failed, checked()]);
    } catch (error) {
      if (error instanceof DeviceError || error instanceof RangeError || error instanceof TypeError) throw error;
      // A lost device rejects what is under way before it says that it is lost.
      await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 100))]);
      throw new DeviceError(`${name} failed: ${error instanceof Error ? error.message : error}; load the model again`, { cause: error });
    }
  }
}
