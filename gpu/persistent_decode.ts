/**
 * Decoding one sequence with a whole token in one dispatch, several tokens a submit: the ids come back in one read.
 *
 * The kernel walks the same program as everything else: its dimensions, offsets and norms are read from the steps, and a program that is not of the shape it
 * knows is refused with the reason, so that the dispatch-per-step path takes it.
 *
 * @module
 */
import { type CompileOptions, type DecodeRequest, type DecodeResult, noToken } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Program } from "../engine/program.ts";
import { mostSteps } from "./batch_inputs.ts";
import { CommandStream } from "./command_stream.ts";
import type { Gpu } from "./device.ts";
import type { DeviceCalls } from "./device_calls.ts";
import type { ProgramMemory } from "./memory.ts";
import { planWalk, type Walk } from "./persistent_plan.ts";
import type { Kernel } from "./pipelines.ts";
import { RecordedAhead } from "./recorded_ahead.ts";
import { bind } from "./step_recorder.ts";

/** From this position on each key is read once for all query heads of its KV head; before it, more subgroups read at once. */
const farPosition = 5632;

/** Gives the sampler's token to the walk, which has put its own choice there. */
const feed: Kernel = { name: "advance_walk", parts: ["advance_walk"], access: "rw", constants: {} };

/** A pipeline with what it is bound to. */
interface Ready {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/** The walk of a program. */
export class PersistentDecode {
  readonly #gpu: Gpu;
  readonly #calls: DeviceCalls;
  readonly #memory: ProgramMemory;
  readonly #logits: GPUBuffer;
  readonly #vocabSize: number;
  readonly #kernels: Walk["kernels"];
  readonly #own: Record<"state" | "made" | "angles" | "blockTable", GPUBuffer>;
  readonly #buffers: GPUBuffer[] = [];
  /** In the order of the kernel's bindings. */
  readonly #resources: readonly GPUBuffer[];
  readonly #made = new Map<Kernel, Ready>();
  /** A token, by its kernel. */
  readonly #ahead: RecordedAhead;

  private constructor(gpu: Gpu, calls: DeviceCalls, program: Program, options: CompileOptions, memory: ProgramMemory, plan: Walk) {
    [this.#gpu, this.#calls, this.#memory, this.#kernels] = [gpu, calls, memory, plan.kernels];
    this.#ahead = new RecordedAhead(gpu.device);
    [this.#logits, this.#vocabSize] = [memory.buffer(program.logits), program.logits.cols];
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const storage = (label: string, bytes: number) => {
      const buffer = gpu.device.createBuffer({ label, size: Math.max(16, bytes), usage });
      this.#buffers.push(buffer);
      return buffer;
    };
    this.#own = {
      state: storage("state", 32),
      made: storage("made", mostSteps * 4),
      angles: storage("angles", mostSteps * plan.headDim * 4),
      blockTable: storage("block table", Math.ceil(options.maxContext / options.blockSize) * 4 + 4),
    };
    const mail = storage("mail", plan.mailBytes), abort = storage("abort", 16), layerInfo = storage("layers", plan.layerInfo.byteLength);
    gpu.device.queue.writeBuffer(layerInfo, 0, plan.layerInfo);
    const { state, made, angles, blockTable } = this.#own;
    const fixed = [state, plan.scales, mail, abort, this.#logits, plan.vectors, angles, blockTable, made, layerInfo];
    this.#resources = [...fixed, ...plan.weights, ...plan.caches];
  }

  /** Bytes of device memory that the walk takes at most, where a device can have it. */
  static bytes({ workgroups }: Gpu, program: Program, { maxContext, blockSize }: CompileOptions): number {
    const values = program.buffers.reduce((sum, { cols }) => sum + cols, 0) - program.logits.cols, headDim = program.caches[0]?.headDim ?? 0;
    const tables = mostSteps * (headDim + 1) + Math.ceil(maxContext / blockSize) + program.caches.length * 2;
    return values * 20 + 4 * tables + 16 * workgroups * (16 * headDim + 1) + 8192;
  }

  /** @returns The walk, or in words why this program or device cannot have it. */
  static create(gpu: Gpu, calls: DeviceCalls, program: Program, options: CompileOptions, memory: ProgramMemory): PersistentDecode | string {
    const plan = planWalk(gpu, program, options, memory, gpu.workgroups);
    return typeof plan === "string" ? plan : new PersistentDecode(gpu, calls, program, options, memory, plan);
  }

  /**
   * Makes the tokens of a request of one row, or its logits.
   *
   * @returns Undefined when not all workgroups were resident: nothing that was made means anything then, and nothing that the walk makes later would.
   */
  async decode({ batch, sampling: [row], steps, rope }: DecodeRequest): Promise<DecodeResult | undefined> {
    const { sampler, readback } = this.#memory, { device, workgroups } = this.#gpu, { state, made } = this.#own;
    // The walk itself remembers the greatest logit: only what else is drawn needs the sampler.
    const isDrawn = row !== undefined && (row.temperature > 0 || row.penalties !== undefined);
    const feeding = isDrawn ? await this.#ready(feed, [sampler.last, state]) : undefined;
    if (feeding) await sampler.prepare([row], steps);
    const walk = await this.#upload(batch, rope), ahead = this.#ahead.take(walk(0)), bytes = row ? steps * 4 : this.#vocabSize * 4;
    this.#calls.scoped(() => {
      const stream = new CommandStream(device, ahead);
      for (let step = 0; step < steps; step++) {
        if (step > 0 || !ahead) run(stream.pass, walk(step), workgroups);
        if (!feeding) continue;
        sampler.record(stream.pass);
        run(stream.pass, feeding, 1);
      }
      stream.finish((encoder) => {
        readback.reserve(16 + bytes);
        readback.record(encoder, state, 0, 16);
        readback.record(encoder, row === undefined ? this.#logits : isDrawn ? sampler.made : made, 0, bytes, 16);
      });
    });
    this.#ahead.record(walk(0), (pass) => run(pass, walk(0), workgroups));
    const view = await readback.view(16 + bytes), [, , , stuck] = new Uint32Array(view, 0, 4);
    if (stuck !== 0) return undefined;
    return row === undefined
      ? { tokens: Uint32Array.of(noToken), logits: new Float32Array(view, 16, this.#vocabSize) }
      : { tokens: new Uint32Array(view, 16, steps).slice(), logits: new Float32Array() };
  }

  /**
   * Uploads where a sequence stands.
   *
   * @param rope Rotations of the positions after the batch's.
   * @returns Records the walk of a token; the next time, of the token after it.
   */
  async prepare(batch: Batch, rope: Float32Array): Promise<(pass: GPUComputePassEncoder) => void> {
    const walk = await this.#upload(batch, rope);
    let step = 0;
    return (pass) => run(pass, walk(step++), this.#gpu.workgroups);
  }

  /** @returns What walks each step. Kernels take seconds to compile: each does when a context is first long enough for it. */
  async #upload(batch: Batch, rope: Float32Array): Promise<(step: number) => Ready> {
    const { near, far } = this.#kernels, { device } = this.#gpu, position = batch.contextLengths[0] - 1;
    // Each token by the kernel of its own position, so that it does not depend on how many are made in a call.
    const kernelOf = (position: number) => this.#ready(position < farPosition ? near : far, this.#resources);
    const first = await kernelOf(position), last = await kernelOf(position + rope.length / batch.rope.length);
    this.#calls.checkOpen("run a batch");
    const { state, angles, blockTable } = this.#own;
    this.#calls.scoped(() => {
      const put = (buffer: GPUBuffer, data: Uint32Array | Float32Array, offset = 0) => {
        if (data.length > 0) device.queue.writeBuffer(buffer, offset, data as Uint32Array<ArrayBuffer>); // an empty array aborts Deno
      };
      put(state, Uint32Array.of(batch.tokens[0], position, 0, 0));
      put(angles, batch.rope);
      put(angles, rope, batch.rope.byteLength);
      put(blockTable, batch.blockTables.subarray(0, blockTable.size / 4));
    });
    return (step) => position + step < farPosition ? first : last;
  }

  async #ready(kernel: Kernel, resources: readonly GPUBuffer[]): Promise<Ready> {
    const found = this.#made.get(kernel);
    if (found) return found;
    const { pipeline, layout } = await this.#gpu.pipelines.get(kernel);
    this.#calls.checkOpen("run a batch");
    const ready = { pipeline, group: this.#calls.scoped(() => bind(this.#gpu.device, layout, resources, kernel.name)) };
    this.#made.set(kernel, ready);
    return ready;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

function run(pass: GPUComputePassEncoder, { pipeline, group }: Ready, grid: number): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(grid);
}
