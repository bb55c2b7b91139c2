/**
 * Looks for weights that are not finite while they are staged: the host would take as long for that as for reading them.
 *
 * @module
 */
import { storageTypes } from "../engine/formats.ts";
import type { StagedRows } from "./packer.ts";
import type { CompiledKernel, Pipelines } from "./pipelines.ts";
import { Readback } from "./readback.ts";
import type { GpuFormat, PlacedPart } from "./weights.ts";

/** Where a block's numbers lie, and the least magnitude, as bits without a sign, that is not finite or becomes so when it is rounded to the type of the weight. */
const numbers: Record<GpuFormat, { offsets: readonly [number, number?]; limit: number }> = {
  f32: { offsets: [0], limit: 0x7f800000 },
  f16: { offsets: [0], limit: 0x7c00 },
  bf16: { offsets: [0], limit: 0x7f80 },
  q8_0: { offsets: [0], limit: 0x7c00 },
  q4_0: { offsets: [0], limit: 0x7c00 },
  q4_1: { offsets: [0, 2], limit: 0x7c00 },
  q4_k: { offsets: [0, 2], limit: 0x7c00 },
  q5_k: { offsets: [0, 2], limit: 0x7c00 },
  q6_k: { offsets: [208], limit: 0x7c00 },
  nf4: { offsets: [0], limit: 0x7f800000 },
  nf4_bf16: { offsets: [0], limit: 0x7f7f8000 },
  nf4_f16: { offsets: [0], limit: 0x477ff000 },
  fp4: { offsets: [0], limit: 0x7f800000 },
  fp4_bf16: { offsets: [0], limit: 0x7f7f8000 },
  fp4_f16: { offsets: [0], limit: 0x477ff000 },
};

/** In place of a block: none is wrong. */
const none = 0xffff_ffff;
const kernel = { name: "check finite", parts: ["check_finite"], access: "urw", constants: {} };

/** The check of a program's matrices. */
export class FiniteCheck {
  readonly #device: GPUDevice;
  readonly #parts: ReadonlyMap<PlacedPart, number>;
  readonly #wrong: GPUBuffer;
  readonly #pipeline: GPUComputePipeline;
  readonly #groups: readonly GPUBindGroup[];
  readonly #answers: Promise<Readback>;

  private constructor(
    device: GPUDevice,
    parts: readonly PlacedPart[],
    { pipeline, layout }: CompiledKernel,
    infos: readonly GPUBufferBinding[],
    staged: GPUBuffer,
  ) {
    this.#device = device;
    this.#parts = new Map(parts.map((part, i) => [part, i]));
    this.#pipeline = pipeline;
    const size = FiniteCheck.bytes(parts.length), usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    this.#wrong = device.createBuffer({ label: "wrong", size, usage });
    device.queue.writeBuffer(this.#wrong, 0, new Uint32Array(size / 4).fill(none));
    this.#groups = infos.map((info) => {
      const entries = [info, { buffer: staged }, { buffer: this.#wrong }].map((resource, binding) => ({ binding, resource }));
      return device.createBindGroup({ layout, entries });
    });
    this.#answers = Readback.create(device, size);
    this.#answers.catch(() => {}); // noticed when they are read
  }

  /**
   * @param infos Where {@link FiniteCheck.info} of rows that are checked together will be.
   * @param staged Where the rows will be.
   */
  static async create(
    device: GPUDevice,
    pipelines: Pipelines,
    parts: readonly PlacedPart[],
    infos: readonly GPUBufferBinding[],
    staged: GPUBuffer,
  ): Promise<FiniteCheck> {
    return new FiniteCheck(device, parts, await pipelines.get(kernel), infos, staged);
  }

  /** Bytes of what the answers take. */
  static bytes(parts: number): number {
    return 4 * parts + 16;
  }

  /** Struct `Blocks` of `check_finite.wgsl`. */
  info({ part, row, rows, start }: StagedRows): readonly number[] {
    const { offsets: [first, second = first], limit } = numbers[part.format], [values, bytes] = storageTypes[part.format];
    return [rows * part.cols / values, bytes, first, second, limit, row * part.cols / values, this.#parts.get(part)!, start];
  }

  /** Records the check of staged rows whose info is the `index`th. */
  record(pass: GPUComputePassEncoder, { part, rows }: StagedRows, index: number): void {
    pass.setPipeline(this.#pipeline);
    pass.setBindGroup(0, this.#groups[index]);
    pass.dispatchWorkgroups(Math.min(65535, Math.ceil(rows * part.cols / storageTypes[part.format][0] / 64)));
  }

  /**
   * Waits for everything that was submitted.
   *
   * @throws {RangeError} naming tensor, row and column of a value that is not finite: in a quantized format the first of its block.
   */
  async finish(): Promise<void> {
    const size = this.#wrong.size, answers = await this.#answers, encoder = this.#device.createCommandEncoder();
    answers.record(encoder, this.#wrong, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    const found = new Uint32Array(await answers.read(size));
    answers.destroy();
    const index = found.findIndex((block) => block !== none);
    if (index < 0) return;
    const { tensor, format, cols } = [...this.#parts.keys()][index], value = found[index] * storageTypes[format][0];
    throw new RangeError(`Cannot load ${tensor}: the value in row ${Math.floor(value / cols)}, column ${value % cols} is not finite`);
  }

  destroy(): void {
    this.#wrong.destroy();
    this.#answers.then((answers) => answers.destroy(), () => {});
  }
}
