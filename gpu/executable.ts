/**
 * A program on the GPU.
 *
 * @module
 */
import type { CompileOptions, DecodeRequest, DecodeResult, Executable, RowSampling } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Buffer, Program } from "../engine/program.ts";
import { mostSteps } from "./batch_inputs.ts";
import { BatchedDecode } from "./batched_decode.ts";
import { CommandStream } from "./command_stream.ts";
import { DecodePaths } from "./decode_paths.ts";
import type { Gpu } from "./device.ts";
import { DeviceCalls } from "./device_calls.ts";
import { ProgramMemory } from "./memory.ts";
import { PersistentDecode } from "./persistent_decode.ts";
import { type Prepared, StepRecorder } from "./step_recorder.ts";

/** Compiled program, weights and KV cache on one device. */
export class GpuExecutable implements Executable {
  /** Most tokens of an output that {@link GpuExecutable.decode} makes in one call. */
  readonly maxDecodeSteps = mostSteps;
  /** Where it runs. */
  readonly gpu: Gpu;
  readonly #calls: DeviceCalls;
  readonly #program: Program;
  readonly #memory: ProgramMemory;
  readonly #recorder: StepRecorder;
  readonly #walk: PersistentDecode | string;
  readonly #batched: BatchedDecode;
  readonly #paths: DecodePaths;

  private constructor(gpu: Gpu, program: Program, options: CompileOptions, memory: ProgramMemory) {
    this.gpu = gpu;
    this.#calls = new DeviceCalls(gpu);
    this.#program = program;
    this.#memory = memory;
    this.#recorder = new StepRecorder(gpu, this.#calls, program, options, memory);
    this.#walk = PersistentDecode.create(gpu, this.#calls, program, options, memory);
    this.#batched = new BatchedDecode(gpu, this.#calls, program, options, memory, this.#recorder);
    this.#paths = new DecodePaths(this.#batched, this.#walk);
  }

  /**
   * Takes the memory; kernels are compiled when a batch first needs them.
   *
   * @throws {DeviceError} when the device is too small or a kernel that loading needs does not compile.
   */
  static async compile(gpu: Gpu, program: Program, options: CompileOptions): Promise<GpuExecutable> {
    const memory = new ProgramMemory(gpu, program, options);
    await Promise.race([memory.allocate(), gpu.failed]);
    try {
      await memory.weights.prepare();
      return new GpuExecutable(gpu, program, options, memory);
    } catch (error) {
      memory.destroy();
      throw error;
    }
  }

  writeRows(tensor: string, firstRow: number, bytes: Uint8Array): void {
    this.#calls.checkOpen("write weights");
    this.#memory.weights.write(tensor, firstRow, bytes);
  }

  readonly findsNonFinite = true;

  finishWeights(): Promise<void> {
    return this.#calls.guard(() => this.#memory.weights.finish());
  }

  execute(batch: Batch): Promise<Float32Array> {
    const sampling = Array.from(batch.outputRows, () => undefined);
    return this.#calls.guard(async () => (await this.#paths.decode({ batch, sampling, steps: 1, rope: new Float32Array() })).logits);
  }

  /** Why one sequence is not decoded by the persistent walk; undefined when it is. */
  get whyNotPersistent(): string | undefined {
    return this.#paths.whyNotPersistent;
  }

  get remark(): string {
    const why = this.whyNotPersistent;
    return why === undefined ? "one sequence takes one dispatch a token" : `one sequence takes many dispatches a token: ${why}`;
  }

  decode(request: DecodeRequest): Promise<DecodeResult> {
    return this.#calls.guard(() => {
      const { batch: { tokens, outputRows, queryStarts, rope }, sampling, steps } = request, outputs = sampling.length;
      if (!(Number.isInteger(steps) && steps >= 1 && steps <= mostSteps)) {
        throw new RangeError(`Cannot decode ${steps} steps: between 1 and ${mostSteps} are made`);
      }
      if (outputs !== outputRows.length) throw new TypeError(`Cannot decode: ${outputRows.length} outputs have ${outputs} ways to draw`);
      if (request.rope.length !== (steps - 1) * rope.length) throw new TypeError(`Cannot decode ${steps} steps: rope has ${request.rope.length} values`);
      if (steps > 1 && (tokens.length !== outputs || queryStarts.length !== outputs + 1 || sampling.includes(undefined))) {
        throw new RangeError(`Cannot decode ${steps} steps: each sequence must have one row, whose token is drawn`);
      }
      return this.#paths.decode(request);
    });
  }

  draw(rows: readonly Float32Array[], sampling: readonly RowSampling[]): Promise<Uint32Array> {
    return this.#calls.guard(() => this.#batched.draw(rows, sampling));
  }

  /** Runs steps `first` up to but not including `end`, so that a test can look at what each of them wrote. */
  executeSteps(batch: Batch, first: number, end: number): Promise<void> {
    return this.#calls.guard(async () => {
      const { recorded } = await this.#recorder.prepare(batch);
      this.#calls.checkOpen("run a batch");
      this.#calls.scoped(() => {
        const stream = new CommandStream(this.gpu.device);
        this.#recorder.record(stream, recorded, first, end);
        stream.finish();
      });
    });
  }

  /** Uploads a batch and prepares its dispatches, which a profiler may record one by one. */
  prepare(batch: Batch): Promise<Prepared> {
    return this.#calls.guard(() => this.#recorder.prepare(batch));
  }

  /** Uploads a batch of one row and prepares its walk, for a profiler: see {@link PersistentDecode.prepare}. Undefined when there is none. */
  prepareWalk(batch: Batch, rope: Float32Array): Promise<((pass: GPUComputePassEncoder) => void) | undefined> {
    return this.#calls.guard(() => typeof this.#walk === "string" ? undefined : this.#walk.prepare(batch, rope));
  }

  read(buffer: string, rows: number): Promise<Float32Array> {
    return this.#calls.guard(async () => {
      const found = this.#program.buffers.find(({ name }) => name === buffer);
      if (!found) throw new RangeError(`Cannot read ${buffer}: the program has no such buffer`);
      const { device } = this.gpu, { readback } = this.#memory, bytes = rows * found.cols * 4, encoder = device.createCommandEncoder();
      readback.reserve(bytes);
      readback.record(encoder, this.#memory.buffer(found), 0, bytes);
      device.queue.submit([encoder.finish()]);
      const data = await readback.read(bytes);
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
    if (!this.#calls.close()) return;
    this.#memory.destroy();
    if (typeof this.#walk !== "string") this.#walk.destroy();
  }
}
