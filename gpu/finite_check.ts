/**
 * Looks for weights that are not finite while they are staged: the host would take as long for that as for reading them.
 *
 * @module
 */
import { storageTypes } from "../engine/formats.ts";
import type { CompiledKernel, Pipelines } from "./pipelines.ts";
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
  readonly #parts: readonly PlacedPart[];
  readonly #blocks: GPUBuffer;
  readonly #wrong: GPUBuffer;
  readonly #compiled: CompiledKernel;
  readonly #group: GPUBindGroup;

  private constructor(device: GPUDevice, parts: readonly PlacedPart[], compiled: CompiledKernel, staging: GPUBuffer) {
    this.#device = device;
    this.#parts = parts;
    this.#compiled = compiled;
    this.#blocks = device.createBuffer({ label: "blocks", size: 32, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    this.#wrong = device.createBuffer({ label: "wrong", size: FiniteCheck.bytes(parts.length), usage });
    device.queue.writeBuffer(this.#wrong, 0, new Uint32Array(this.#wrong.size / 4).fill(none));
    const entries = [this.#blocks, staging, this.#wrong].map((buffer, binding) => ({ binding, resource: { buffer } }));
    this.#group = device.createBindGroup({ layout: compiled.layout, entries });
  }

  /** @param staging Where rows are staged. */
  static async create(device: GPUDevice, pipelines: Pipelines, parts: readonly PlacedPart[], staging: GPUBuffer): Promise<FiniteCheck> {
    return new FiniteCheck(device, parts, await pipelines.get(kernel), staging);
  }

  /** Bytes of what the answers take. */
  static bytes(parts: number): number {
    return 4 * parts + 16;
  }

  /** Records the check of the staged rows, `firstRow` and those that follow. Waits for nothing. */
  record(pass: GPUComputePassEncoder, part: PlacedPart, firstRow: number, rows: number): void {
    const { offsets: [first, second = first], limit } = numbers[part.format], [values, bytes] = storageTypes[part.format];
    const count = rows * part.cols / values, before = firstRow * part.cols / values, tensor = this.#parts.indexOf(part);
    this.#device.queue.writeBuffer(this.#blocks, 0, Uint32Array.of(count, bytes, first, second, limit, before, tensor));
    pass.setPipeline(this.#compiled.pipeline);
    pass.setBindGroup(0, this.#group);
    pass.dispatchWorkgroups(Math.min(65535, Math.ceil(count / 64)));
  }

  /**
   * Waits for everything that was submitted.
   *
   * @throws {RangeError} naming tensor, row and column of a value that is not finite: in a quantized format the first of its block.
   */
  async finish(): Promise<void> {
    const size = this.#wrong.size, answers = this.#device.createBuffer({ label: "answers", size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#wrong, 0, answers, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    await answers.mapAsync(GPUMapMode.READ);
    const found = new Uint32Array(answers.getMappedRange().slice(0));
    answers.destroy();
    const index = found.findIndex((block) => block !== none);
    if (index < 0) return;
    const { tensor, format, cols } = this.#parts[index], value = found[index] * storageTypes[format][0];
    throw new RangeError(`Cannot load ${tensor}: the value in row ${Math.floor(value / cols)}, column ${value % cols} is not finite`);
  }

  destroy(): void {
    this.#blocks.destroy();
    this.#wrong.destroy();
  }
}
