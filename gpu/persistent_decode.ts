/**
 * Decoding one sequence with a whole token in one dispatch, several tokens a submit: the ids come back in one read.
 *
 * The kernel walks the same program as everything else: its dimensions, offsets and norms are read from the steps, and a program that is not of the shape it
 * knows is refused with the reason, so that the dispatch-per-step path takes it.
 *
 * @module
 */
import { type CompileOptions, DeviceError } from "../engine/backend.ts";
import type { Program } from "../engine/program.ts";
import type { Gpu } from "./device.ts";
import type { Memory } from "./lower.ts";
import { planWalk, type Walk } from "./persistent_plan.ts";
import type { Kernel, Pipelines } from "./pipelines.ts";
import { Readback } from "./readback.ts";

/** Most tokens of one submit. */
export const maxSteps = 64;

/** From this position on more workgroups share the context of a KV head. */
const middlePosition = 1024;
/** From this position on each key is read once for all query heads of its KV head; before it, more subgroups read at once. */
const farPosition = 5632;

/** The next tokens of one sequence, each the most likely one. */
export interface WalkRequest {
  /** Last token, not yet in the cache. */
  readonly token: number;
  /** Its place in the sequence. */
  readonly position: number;
  /** Blocks of the sequence, enough for `steps` more tokens. */
  readonly blockTable: Uint32Array;
  /** `[steps, headDim]` as `Batch.rope`, of the positions from `position` on. */
  readonly rope: Float32Array;
  /** Tokens to make, at most {@link maxSteps}. */
  readonly steps: number;
}

/** A pipeline with what it is bound to. */
interface Ready {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/** The compiled walk. */
export class PersistentDecode {
  readonly #device: GPUDevice;
  readonly #kernels: Walk["kernels"];
  readonly #ready: (kernel: Kernel) => Promise<Ready>;
  readonly #workgroups: number;
  readonly #own: Record<"state" | "made" | "angles" | "blockTable", GPUBuffer>;
  readonly #buffers: readonly GPUBuffer[];
  readonly #readback: Readback;

  private constructor(
    device: GPUDevice,
    kernels: Walk["kernels"],
    ready: (kernel: Kernel) => Promise<Ready>,
    workgroups: number,
    own: Record<"state" | "made" | "angles" | "blockTable", GPUBuffer>,
    buffers: readonly GPUBuffer[],
    readback: Readback,
  ) {
    this.#device = device;
    this.#kernels = kernels;
    this.#ready = ready;
    this.#workgroups = workgroups;
    this.#own = own;
    this.#buffers = buffers;
    this.#readback = readback;
  }

  /** @returns The walk, or in words why this program or device cannot have it. */
  static async create(
    gpu: Gpu,
    program: Program,
    options: CompileOptions,
    memory: Memory,
    pipelines: Pipelines,
    workgroups: number,
  ): Promise<PersistentDecode | string> {
    const { device } = gpu;
    const plan = planWalk(gpu, program, options, memory, workgroups);
    if (typeof plan === "string") return plan;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const storage = (label: string, bytes: number) => device.createBuffer({ label, size: Math.max(16, bytes), usage });
    const own = {
      state: storage("state", 16),
      made: storage("made", maxSteps * 4),
      angles: storage("angles", maxSteps * plan.headDim * 4),
      blockTable: storage("block table", Math.ceil(options.maxContext / options.blockSize) * 4 + 4),
    };
    const act = storage("act", plan.slots * 32 + workgroups * 16), actScales = storage("act scales", plan.slots * 8);
    const floats = storage("floats", plan.floats * 4), counters = storage("counters", 256), layerInfo = storage("layers", plan.layerInfo.byteLength);
    device.queue.writeBuffer(layerInfo, 0, plan.layerInfo);
    const resources = [
      own.state,
      plan.scales,
      act,
      actScales,
      floats,
      counters,
      memory.buffer(program.logits),
      plan.vectors,
      own.angles,
      own.blockTable,
      own.made,
      layerInfo,
      ...plan.weights,
      ...plan.caches,
    ];
    const made = new Map<Kernel, Promise<Ready>>();
    const ready = (kernel: Kernel) => {
      const compile = async () => {
        const { pipeline, layout } = await pipelines.get(kernel);
        return { pipeline, group: device.createBindGroup({ layout, entries: resources.map((buffer, binding) => ({ binding, resource: { buffer } })) }) };
      };
      return made.get(kernel) ?? made.set(kernel, compile()).get(kernel)!;
    };
    await ready(plan.kernels.near); // the others take seconds to compile: when a context is first long enough
    const readback = await Readback.create(device, 16 + maxSteps * 4);
    return new PersistentDecode(device, plan.kernels, ready, workgroups, own, [act, actScales, floats, counters, layerInfo], readback);
  }

  /**
   * Makes `steps` tokens greedily; each one's K and V are in the cache but for the last one's.
   *
   * @returns Their ids.
   * @throws {DeviceError} when not all workgroups were resident.
   */
  async decode(request: WalkRequest): Promise<Uint32Array> {
    const { near, middle, far } = this.#kernels;
    const { pipeline, group } = await this.#ready(request.position < middlePosition ? near : request.position < farPosition ? middle : far);
    const { queue } = this.#device, { state, made, angles, blockTable } = this.#own, bytes = request.steps * 4;
    queue.writeBuffer(state, 0, new Uint32Array([request.token, request.position, 0, 0]));
    queue.writeBuffer(angles, 0, request.rope as Float32Array<ArrayBuffer>);
    queue.writeBuffer(blockTable, 0, request.blockTable as Uint32Array<ArrayBuffer>);
    const encoder = this.#device.createCommandEncoder(), pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let step = 0; step < request.steps; step++) pass.dispatchWorkgroups(this.#workgroups);
    pass.end();
    this.#readback.record(encoder, state, 0, 16);
    this.#readback.record(encoder, made, 0, bytes, 16);
    queue.submit([encoder.finish()]);
    const words = new Uint32Array(await this.#readback.read(16 + bytes));
    if (words[3] !== 0) throw new DeviceError(`The GPU did not keep ${this.#workgroups} workgroups resident; decode with one dispatch a step instead`);
    return words.subarray(4);
  }

  destroy(): void {
    for (const buffer of [...Object.values(this.#own), ...this.#buffers]) buffer.destroy();
    this.#readback.destroy();
  }
}
