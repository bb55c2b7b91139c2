/**
 * The dispatches of a program, and which of them a batch needs: kernels are compiled when a batch first needs them, bind groups are made once.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Buffer, Program } from "../engine/program.ts";
import type { Counts } from "./batch_inputs.ts";
import type { Gpu } from "./device.ts";
import type { DeviceCalls } from "./device_calls.ts";
import type { CommandStream } from "./command_stream.ts";
import type { Grid } from "./dispatch.ts";
import { type Dispatch, lower } from "./lower.ts";
import type { ProgramMemory } from "./memory.ts";
import type { CompiledKernel } from "./pipelines.ts";

/** A dispatch with everything made, and how large it is. */
export interface Recorded {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: NonNullable<Grid>;
}

/** A batch on the device. */
export interface Prepared {
  readonly counts: Counts;
  /** The dispatches that it needs, in order; those that embed tokens whether or not it brings embeddings. */
  readonly recorded: readonly Recorded[];
}

/** Records steps out of prebuilt dispatches. */
export class StepRecorder {
  readonly #gpu: Gpu;
  readonly #calls: DeviceCalls;
  readonly #memory: ProgramMemory;
  /** What the embed step writes. */
  readonly #embedded: GPUBuffer;
  readonly #lower: () => readonly Dispatch[];
  #lowered?: readonly Dispatch[];
  readonly #kernels: (CompiledKernel | undefined)[] = [];
  readonly #groups: (GPUBindGroup | undefined)[] = [];
  /** What the last batch needed; the next one mostly needs the same. */
  #last: { key: string; recorded: readonly Recorded[] } = { key: "", recorded: [] };

  constructor(gpu: Gpu, calls: DeviceCalls, program: Program, options: CompileOptions, memory: ProgramMemory) {
    this.#gpu = gpu;
    this.#calls = calls;
    this.#memory = memory;
    this.#embedded = memory.buffer(program.steps[0].binds[1] as Buffer);
    this.#lower = () => lower(program, options, memory);
  }

  /** All of the program, when a batch first needs them: thousands, which take some time. */
  get #dispatches(): readonly Dispatch[] {
    return this.#lowered ??= this.#lower();
  }

  /**
   * Uploads a batch.
   *
   * @param ahead `[steps - 1, outputs, headDim]` rotations of the steps that the device makes out of this batch on its own.
   * @throws {DeviceError} with the compiler's message, file and line when a kernel does not compile.
   */
  async prepare(batch: Batch, ahead?: Float32Array): Promise<Prepared> {
    const { inputsEmbeds } = batch;
    const counts = this.#calls.scoped(() => {
      if (inputsEmbeds) this.#gpu.device.queue.writeBuffer(this.#embedded, 0, inputsEmbeds as Float32Array<ArrayBuffer>);
      return this.#memory.inputs.write(batch, ahead);
    });
    const key = Object.values(counts).join();
    if (this.#last.key !== key) {
      await this.#compile(counts);
      this.#calls.checkOpen("run a batch");
      this.#last = { key, recorded: this.#calls.scoped(() => this.#plan(counts)) };
    }
    return { counts, recorded: this.#last.recorded };
  }

  /** Records the dispatches of steps `first` up to but not including `end`. */
  record(stream: Pick<CommandStream, "pass">, recorded: readonly Recorded[], first = 0, end = Infinity): void {
    for (const { dispatch: { step }, pipeline, group, grid } of recorded) {
      if (step < first || step >= end) continue;
      const { pass } = stream;
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...grid);
    }
  }

  /** Compiles the kernels that a batch needs and that no batch before it needed. */
  async #compile(counts: Counts): Promise<void> {
    await Promise.all(this.#dispatches.map(async (dispatch, i) => {
      if (!this.#kernels[i] && dispatch.grid(counts)) this.#kernels[i] = await this.#gpu.pipelines.get(dispatch.kernel);
    }));
  }

  #plan(counts: Counts): readonly Recorded[] {
    return this.#dispatches.flatMap((dispatch, i) => {
      const grid = dispatch.grid(counts);
      if (!grid) return [];
      const { pipeline, layout } = this.#kernels[i]!;
      return [{ dispatch, pipeline, group: this.#groups[i] ??= bind(this.#gpu.device, layout, dispatch.resources, dispatch.label), grid }];
    });
  }
}

/** Binds resources in order. */
export function bind(device: GPUDevice, layout: GPUBindGroupLayout, resources: readonly GPUBindingResource[], label?: string): GPUBindGroup {
  const entries = resources.map((resource, binding) => ({ binding, resource: resource instanceof GPUBuffer ? { buffer: resource } : resource }));
  return device.createBindGroup({ label, layout, entries });
}
