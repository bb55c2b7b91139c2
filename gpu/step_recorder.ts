/**
 * The dispatches of a program, and which of them a batch needs: kernels are compiled when a batch first needs them, bind groups are made once.
 *
 * @module
 */
import type { Counts } from "./batch_inputs.ts";
import type { Dispatch, Grid } from "./dispatch.ts";
import type { CompiledKernel, Pipelines } from "./pipelines.ts";

/** A dispatch with everything made, and how large it is. */
export interface Recorded {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: NonNullable<Grid>;
}

/** Records steps out of prebuilt dispatches. */
export class StepRecorder {
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #dispatches: readonly Dispatch[];
  readonly #kernels: (CompiledKernel | undefined)[] = [];
  readonly #groups: (GPUBindGroup | undefined)[] = [];
  /** What the last batch needed; the next one mostly needs the same. */
  #last: { key: string; recorded: readonly Recorded[] } = { key: "", recorded: [] };

  constructor(device: GPUDevice, pipelines: Pipelines, dispatches: readonly Dispatch[]) {
    this.#device = device;
    this.#pipelines = pipelines;
    this.#dispatches = dispatches;
  }

  /**
   * Compiles the kernels that a batch needs and that no batch before it needed.
   *
   * @throws {DeviceError} with the compiler's message, file and line when a kernel does not compile.
   */
  async compile(counts: Counts): Promise<void> {
    if (this.#last.key === keyOf(counts)) return;
    await Promise.all(this.#dispatches.map(async (dispatch, i) => {
      if (!this.#kernels[i] && dispatch.grid(counts)) this.#kernels[i] = await this.#pipelines.get(dispatch.kernel);
    }));
  }

  /** The dispatches that a batch needs, in order; their kernels must be compiled. */
  plan(counts: Counts): readonly Recorded[] {
    const key = keyOf(counts);
    if (this.#last.key !== key) {
      const recorded = this.#dispatches.flatMap((dispatch, i) => {
        const grid = dispatch.grid(counts);
        return grid ? [{ dispatch, pipeline: this.#kernels[i]!.pipeline, group: this.#groups[i] ??= this.#bind(dispatch, this.#kernels[i]!), grid }] : [];
      });
      this.#last = { key, recorded };
    }
    return this.#last.recorded;
  }

  /** Records dispatches one after the other. */
  record(pass: GPUComputePassEncoder, recorded: readonly Recorded[]): void {
    for (const { pipeline, group, grid } of recorded) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...grid);
    }
  }

  #bind({ label, resources }: Dispatch, { layout }: CompiledKernel): GPUBindGroup {
    const entries = resources.map((resource, binding) => ({ binding, resource: resource instanceof GPUBuffer ? { buffer: resource } : resource }));
    return this.#device.createBindGroup({ label, layout, entries });
  }
}

function keyOf(counts: Counts): string {
  return Object.values(counts).join();
}
