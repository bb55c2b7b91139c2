/**
 * Brings rows of a file into the layout of the kernels, and looks at them on the way: they are staged, and packed many at a time.
 *
 * @module
 */
import { rowAlignment } from "../engine/backend.ts";
import { rowBytes } from "../engine/formats.ts";
import { FiniteCheck } from "./finite_check.ts";
import type { Kernel, Pipelines } from "./pipelines.ts";
import type { Chunk, PlacedPart } from "./weights.ts";

/** Rows of a part that are staged. */
export interface StagedRows {
  readonly part: PlacedPart;
  readonly chunk: Chunk;
  /** The first one, of the part's. */
  readonly row: number;
  readonly rows: number;
  /** Where they lie in what is staged, in bytes. */
  readonly start: number;
}

/** Most bytes that are staged at once. */
const mostStagedBytes = 2 ** 25;
/** Most of them that are packed in one submit. */
const together = 64;
/** Uniforms begin at a multiple of this, staged rows at one of the other. */
const infoBytes = 256, alignment = 16;

/** Packs the matrices of a program. */
export class Packer {
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #kernels: ReadonlyMap<PlacedPart, Kernel>;
  readonly #stagedBytes: number;
  readonly #staged: GPUBuffer;
  /** For each of the rows that are packed together what `pack.wgsl` is to know of them, then what `check_finite.wgsl` is to know. */
  readonly #infos: GPUBuffer;
  #check?: FiniteCheck;
  /** What is staged and not packed yet. */
  #waiting: StagedRows[] = [];
  #filledBytes = 0;

  /** @param kernels What packs each part. */
  constructor(device: GPUDevice, pipelines: Pipelines, kernels: ReadonlyMap<PlacedPart, Kernel>, bindingBytes: number) {
    [this.#device, this.#pipelines, this.#kernels, this.#stagedBytes] = [device, pipelines, kernels, stagedBytes([...kernels.keys()], bindingBytes)];
    this.#staged = device.createBuffer({ label: "staged", size: this.#stagedBytes + 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
    this.#infos = device.createBuffer({ label: "infos", size: 2 * together * infoBytes, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  }

  /** Bytes of device memory. */
  static bytes(parts: readonly PlacedPart[], bindingBytes: number): number {
    return stagedBytes(parts, bindingBytes) + 16 + 2 * together * infoBytes + FiniteCheck.bytes(parts.length);
  }

  /** Compiles, so that nothing else need wait. */
  async prepare(): Promise<void> {
    const infos = Array.from({ length: together }, (_, i) => this.#info(2 * i + 1));
    this.#check = await FiniteCheck.create(this.#device, this.#pipelines, [...this.#kernels.keys()], infos, this.#staged);
    await Promise.all(Array.from(this.#kernels.values(), (kernel) => this.#pipelines.get(kernel)));
  }

  /** Stages rows of a part, which are packed together with those that follow. Their bytes are copied. */
  add(part: PlacedPart, firstRow: number, bytes: Uint8Array): void {
    const stride = rowBytes(part.format, part.cols);
    const most = Math.max(1, Math.floor(this.#stagedBytes / stride / rowAlignment)) * rowAlignment * stride; // a part of fewer rows than that fits whole
    for (let at = 0; at < bytes.length; at += most) this.#stage(part, firstRow + at / stride, stride, writable(bytes.subarray(at, at + most)));
  }

  /**
   * Packs what is left, and waits for everything.
   *
   * @throws What {@link FiniteCheck.finish} throws.
   */
  async finish(): Promise<void> {
    this.#pack();
    await this.#check!.finish();
  }

  destroy(): void {
    this.#staged.destroy();
    this.#infos.destroy();
    this.#check?.destroy();
  }

  #stage(part: PlacedPart, firstRow: number, stride: number, bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#filledBytes + bytes.length > this.#stagedBytes) this.#makeRoom();
    const start = this.#filledBytes, endRow = firstRow + Math.floor(bytes.length / stride);
    this.#device.queue.writeBuffer(this.#staged, start, bytes);
    this.#filledBytes += Math.ceil(bytes.length / alignment) * alignment;
    for (const chunk of part.chunks) {
      const row = Math.max(firstRow, chunk.firstRow), end = Math.min(endRow, chunk.firstRow + chunk.rows);
      if (row >= end) continue;
      if (this.#waiting.length === together) this.#pack();
      this.#waiting.push({ part, chunk, row, rows: end - row, start: start + (row - firstRow) * stride });
    }
  }

  #makeRoom(): void {
    // Blocks while it is called, until what was submitted before is done: that bounds the memory of uploads in flight. The promise settles later.
    this.#device.queue.onSubmittedWorkDone().catch(() => {});
    this.#pack();
    this.#filledBytes = 0;
  }

  #pack(): void {
    const device = this.#device, words = new Uint32Array(2 * this.#waiting.length * infoBytes / 4);
    if (words.length === 0) return;
    const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
    this.#waiting.forEach((rows, i) => {
      words.set(packInfo(rows), 2 * i * infoBytes / 4);
      words.set(this.#check!.info(rows), (2 * i + 1) * infoBytes / 4);
      this.#record(pass, rows, this.#info(2 * i));
      this.#check!.record(pass, rows, i);
    });
    pass.end();
    device.queue.writeBuffer(this.#infos, 0, words);
    device.queue.submit([encoder.finish()]);
    this.#waiting = [];
  }

  #record(pass: GPUComputePassEncoder, { part, chunk, rows }: StagedRows, info: GPUBufferBinding): void {
    const { pipeline, layout } = this.#pipelines.compiled(this.#kernels.get(part)!);
    const resources = [info, { buffer: this.#staged }, chunk.data(), chunk.scales()];
    const group = this.#device.createBindGroup({ layout, entries: resources.map((resource, binding) => ({ binding, resource })) });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(Math.min(65535, Math.ceil(rows * Math.ceil(part.blocks / 2) / 64)));
  }

  #info(index: number): GPUBufferBinding {
    return { buffer: this.#infos, offset: index * infoBytes, size: 32 };
  }
}

/** Bytes to stage at once: no more than there are or one binding takes, but as many rows as are written together. */
function stagedBytes(parts: readonly PlacedPart[], bindingBytes: number): number {
  let all = 0, least = 0;
  for (const { format, rows, cols } of parts) {
    const stride = rowBytes(format, cols);
    all += Math.ceil(rows * stride / alignment) * alignment;
    least = Math.max(least, Math.min(rows, rowAlignment) * stride);
  }
  return Math.ceil(Math.max(least, Math.min(all, bindingBytes, mostStagedBytes)) / alignment) * alignment;
}

/** Struct `Matrix` of `pack.wgsl`. */
function packInfo({ part, chunk, row, rows, start }: StagedRows): readonly number[] {
  const { format, cols, blocks, half, rotary } = part;
  return [row - chunk.firstRow, rows, cols, blocks, half ? 1 : 0, rowBytes(format, cols), rotary, start];
}

/** The bytes as `writeBuffer` wants them: a multiple of 4, not shared. */
export function writable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length % 4 === 0 && bytes.buffer instanceof ArrayBuffer) return bytes as Uint8Array<ArrayBuffer>;
  const copy = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  copy.set(bytes);
  return copy;
}
