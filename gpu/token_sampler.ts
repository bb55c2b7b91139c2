/**
 * Draws the next tokens of a batch on the GPU: exactly what `Sampler.penalize` and `Sampler.sample` of `engine/host.ts` make of the same logits.
 *
 * @module
 */
import type { RowSampling } from "../engine/backend.ts";
import type { Gpu } from "./device.ts";
import type { CompiledKernel, Kernel } from "./pipelines.ts";

/** Words of a row's settings, struct `Row` of sample_row.wgsl. */
const rowWords = 19;

/** One dispatch of a step. */
interface Ready {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/** The sampler of one program's logits. */
export class TokenSampler {
  /** `[steps, outputs]` what was drawn since {@link TokenSampler.prepare}, or `noToken` of `engine/backend.ts`. */
  readonly made: GPUBuffer;
  /** `[outputs]` the last of them; 0 where there is none. */
  readonly last: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #vocabSize: number;
  readonly #logits: GPUBuffer;
  readonly #rows: GPUBuffer;
  #maximum?: Ready;
  /** Rows of the request. */
  #outputs = 0;

  /** Bytes of device memory; penalties take more. */
  static bytes(_vocabSize: number, maxOutputs: number, maxSteps: number): number {
    return maxOutputs * 4 * (rowWords + 1 + maxSteps);
  }

  /** @param logits `[maxOutputs, vocabSize]` f32; row i is output i. Penalties change it. */
  constructor(gpu: Gpu, vocabSize: number, maxOutputs: number, maxSteps: number, logits: GPUBuffer) {
    [this.#gpu, this.#vocabSize, this.#logits] = [gpu, vocabSize, logits];
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const storage = (label: string, bytes: number) => gpu.device.createBuffer({ label, size: Math.max(16, bytes), usage });
    this.made = storage("made tokens", maxSteps * maxOutputs * 4);
    this.last = storage("last tokens", maxOutputs * 4);
    this.#rows = storage("sampled rows", maxOutputs * rowWords * 4);
  }

  /**
   * Uploads how the rows of a request are drawn, and compiles what they need.
   *
   * @param sampling For each output; undefined: no token is wanted.
   * @param steps Most calls of {@link TokenSampler.record} until the next request.
   */
  async prepare(sampling: readonly (RowSampling | undefined)[], _steps: number): Promise<void> {
    this.#outputs = sampling.length;
    this.#maximum ??= this.#bind(await this.#compile("sample_maximum", "rwww"), [this.#logits, this.#rows, this.made, this.last]);
    const words = new Uint32Array(sampling.length * rowWords);
    sampling.forEach((row, i) => words.set([row ? 1 : 0, i, sampling.length], i * rowWords));
    this.#gpu.device.queue.writeBuffer(this.#rows, 0, words);
  }

  /** Records the drawing of one token of each row into an open pass; each call the next step's. */
  record(pass: GPUComputePassEncoder): void {
    const { pipeline, group } = this.#maximum!;
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(this.#outputs);
  }

  /** Frees its memory. */
  destroy(): void {
    for (const buffer of [this.made, this.last, this.#rows]) buffer.destroy();
  }

  #compile(name: string, access: string): Promise<CompiledKernel> {
    const { limits: { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX }, pipelines } = this.#gpu;
    const threads = Math.min(1024, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX);
    const parts = [name, "sample_row", "sample_made", this.#vocabSize % 4 === 0 ? "sample_logits_4" : "sample_logits_1"];
    const kernel: Kernel = { name, parts, access, constants: { vocab: this.#vocabSize, threads } };
    return pipelines.get(kernel);
  }

  #bind({ pipeline, layout }: CompiledKernel, buffers: readonly GPUBuffer[]): Ready {
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    return { pipeline, group: this.#gpu.device.createBindGroup({ layout, entries }) };
  }
}
