/**
 * Where weights lie on the GPU and how they get there: raw rows are staged, a kernel brings them into the layout of `weight_*.wgsl`.
 *
 * @module
 */
import { DeviceError } from "../engine/backend.ts";
import { type Format, type FourBitCode, rowBytes } from "../engine/formats.ts";
import type { Program, Weight } from "../engine/program.ts";
import { Arena, type Range } from "./arena.ts";
import { Packer, writable } from "./packer.ts";
import type { Kernel, Pipelines } from "./pipelines.ts";

/** How a format lies on the GPU, and its kernels' parts. */
interface Layout {
  /** 16-byte units of a block of 32 values. */
  readonly units: number;
  /** Bytes of everything else (scales, minimums, high bits) of a pair of blocks. Those of the K formats are words of a super-block of four pairs. */
  readonly scaleBytes: number;
  /** Bytes that a row has before those of its pairs. */
  readonly headBytes?: number;
  /** Parts that look a weight up. */
  readonly weight: readonly string[];
  /** Parts that bring rows of a file into this layout. */
  readonly pack: readonly string[];
}

const fourBit = (code: FourBitCode, rounded: string): Layout => (
  { units: 1, scaleBytes: 4, headBytes: 4, weight: ["weight_four_bit", rounded], pack: ["pack_four_bit", `code_${code}`] }
);

/** Formats with kernels: see their `weight_*.wgsl`. */
export const layouts = {
  f32: { units: 8, scaleBytes: 0, weight: ["weight_f32"], pack: ["pack_float32"] },
  f16: { units: 4, scaleBytes: 0, weight: ["weight_f16"], pack: ["pack_float16"] },
  bf16: { units: 4, scaleBytes: 0, weight: ["weight_bf16"], pack: ["pack_float16"] },
  q8_0: { units: 2, scaleBytes: 4, weight: ["weight_q8_0"], pack: ["pack_q8_0"] },
  q4_0: { units: 1, scaleBytes: 4, weight: ["weight_q4_0"], pack: ["pack_nibbles", "pack_q4_0"] },
  q4_1: { units: 1, scaleBytes: 8, weight: ["weight_q4_1"], pack: ["pack_nibbles", "pack_q4_1"] },
  q4_k: { units: 1, scaleBytes: 5, weight: ["weight_k", "weight_q4_k"], pack: ["pack_k", "pack_k_minimums", "pack_q4_k"] },
  q5_k: { units: 1, scaleBytes: 13, weight: ["weight_k", "weight_q5_k"], pack: ["pack_k", "pack_k_minimums", "pack_q5_k"] },
  q6_k: { units: 1, scaleBytes: 21, weight: ["weight_k", "weight_q6_k"], pack: ["pack_k", "pack_q6_k"] },
  nf4: fourBit("nf4", "rounded_f32"),
  nf4_bf16: fourBit("nf4", "rounded_bf16"),
  nf4_f16: fourBit("nf4", "rounded_f16"),
  fp4: fourBit("fp4", "rounded_f32"),
  fp4_bf16: fourBit("fp4", "rounded_bf16"),
  fp4_f16: fourBit("fp4", "rounded_f16"),
} as const satisfies Record<Format, Layout>;

/** A format the GPU multiplies with. */
export type GpuFormat = keyof typeof layouts;

/** Rows of a part that fit one binding. */
export interface Chunk {
  readonly firstRow: number;
  readonly rows: number;
  readonly data: () => Range;
  readonly scales: () => Range;
}

/** A checkpoint tensor on the GPU. */
export interface PlacedPart {
  readonly tensor: string;
  readonly format: GpuFormat;
  readonly rows: number;
  readonly cols: number;
  /** Blocks of 32 values of a row, the last one filled up with zeros. */
  readonly blocks: number;
  /** Rows in groups of 16 rather than 32 (layout.wgsl). */
  readonly half: boolean;
  /** `headDim` of q and k, whose rows are reordered so that values which rotate with each other are neighbours; else 0. */
  readonly rotary: number;
  readonly chunks: readonly Chunk[];
}

/** A vector (norm, biases): its parts one after the other, f32. */
interface PlacedVector {
  readonly offset: number;
  readonly length: number;
  readonly range: () => Range;
}

/** A matrix with fewer rows leaves workgroups idle unless its rows come in groups of 16. */
const narrowRows = 4096;

/** All weights of a program. */
export class WeightStore {
  readonly #data: Arena;
  readonly #scales: Arena;
  readonly #vectors: Arena;
  readonly #parts = new Map<string, PlacedPart>();
  readonly #vectorParts = new Map<string, PlacedVector>();
  readonly #vectorRanges = new Map<Weight, () => Range>();
  readonly #missing = new Map<string, number>();
  readonly #bindingBytes: number;
  #device?: GPUDevice;
  #packer?: Packer;

  constructor(program: Program, formats: ReadonlyMap<string, Format>, bindingBytes: number) {
    this.#bindingBytes = bindingBytes;
    [this.#data, this.#scales, this.#vectors] = [new Arena(bindingBytes), new Arena(bindingBytes), new Arena(bindingBytes)];
    const rotary = rotaryParts(program), narrow = narrowWeights(program);
    const layerOf = ({ name }: Weight) => name.split(".")[0], layers = Map.groupBy(program.weights, layerOf);
    let layer = "";
    for (const weight of program.weights) {
      if (layerOf(weight) !== layer) this.#keepTogether(layers.get(layer = layerOf(weight))!, formats);
      if (weight.rows === 1) this.#placeVector(weight);
      else {
        for (const { tensor, rows } of weight.parts) {
          if (this.#parts.has(tensor)) continue; // a tied head
          const shape = { tensor, rows, cols: weight.cols, half: narrow.has(weight), rotary: rotary.get(tensor) ?? 0 };
          this.#placePart(shape, formats.get(tensor), bindingBytes);
        }
      }
    }
  }

  /** A layer's matrices lie in one buffer, in order: the persistent walk finds them by their distance from the layer's beginning. */
  #keepTogether(layer: readonly Weight[], formats: ReadonlyMap<string, Format>): void {
    let data = 0, scales = 0;
    for (const { rows, cols, parts } of layer) {
      if (rows === 1) continue;
      for (const part of parts) {
        const { units, scaleBytes, headBytes = 0 }: Layout = layouts[formats.get(part.tensor) as GpuFormat] ?? layouts.f32, pairs = Math.ceil(cols / 64);
        data += Math.ceil(part.rows / 32) * pairs * units * 1024 + 256;
        scales += Math.ceil(part.rows / 32) * (pairs * scaleBytes + headBytes) * 32 + 256;
      }
    }
    this.#data.keepTogether(data);
    this.#scales.keepTogether(scales);
  }

  /** All scales in one buffer, if they fit. */
  get scaleBuffers(): readonly GPUBuffer[] {
    return this.#scales.buffers;
  }

  get vectorBuffers(): readonly GPUBuffer[] {
    return this.#vectors.buffers;
  }

  #placeVector(weight: Weight): void {
    const place = this.#vectors.plan(weight.cols * 4), range = () => this.#vectors.range(place);
    let offset = 0;
    for (const part of weight.parts) {
      this.#vectorParts.set(part.tensor, { offset, length: part.rows, range });
      this.#missing.set(part.tensor, 1);
      offset += part.rows;
    }
    this.#vectorRanges.set(weight, range);
  }

  #placePart(shape: Omit<PlacedPart, "format" | "blocks" | "chunks">, format: Format | undefined, bindingBytes: number): void {
    const { tensor, rows, cols, half, rotary } = shape;
    if (format === undefined || !(format in layouts)) throw new TypeError(`Cannot place ${tensor}: the GPU has no kernels for ${format ?? "a missing format"}`);
    const { units, scaleBytes, headBytes = 0 }: Layout = layouts[format as GpuFormat], blocks = Math.ceil(cols / 32), pairs = Math.ceil(blocks / 2);
    const groupRows = half ? 16 : 32, groupData = (half ? pairs : blocks) * units * 512;
    // q4_1 has a word beside each unit: no more than that, so that parts which follow one another are one matrix.
    const groupScales = format === "q4_1" ? groupData / 4 : (pairs * scaleBytes + headBytes) * groupRows;
    // Heads whose rows change places stay in one piece.
    const unit = leastCommonMultiple(32, rotary || 1), isWhole = Math.ceil(rows / groupRows) * groupData <= bindingBytes;
    const chunkRows = isWhole ? rows : Math.floor(Math.floor(bindingBytes / groupData) * groupRows / unit) * unit;
    if (chunkRows === 0) {
      throw new DeviceError(`Cannot place ${tensor}: ${unit} rows take ${unit / groupRows * groupData} bytes, a binding holds ${bindingBytes}`);
    }
    const chunks: Chunk[] = [];
    for (let firstRow = 0; firstRow < rows; firstRow += chunkRows) {
      const count = Math.min(chunkRows, rows - firstRow), groups = Math.ceil(count / groupRows);
      const data = this.#data.plan(groups * groupData), scales = this.#scales.plan(groups * groupScales);
      chunks.push({ firstRow, rows: count, data: () => this.#data.range(data), scales: () => this.#scales.range(scales) });
    }
    this.#parts.set(tensor, { tensor, format: format as GpuFormat, rows, cols, blocks, half, rotary, chunks });
    this.#missing.set(tensor, rows);
  }

  /** Bytes of device memory, what is needed while loading included. */
  get bytes(): number {
    return this.#data.bytes + this.#scales.bytes + this.#vectors.bytes + Packer.bytes([...this.#parts.values()], this.#bindingBytes);
  }

  allocate(device: GPUDevice, pipelines: Pipelines): void {
    this.#device = device;
    this.#data.allocate(device, "weights");
    this.#scales.allocate(device, "scales");
    this.#vectors.allocate(device, "vectors");
    const kernels = new Map(Array.from(this.#parts.values(), (part) => [part, packing(part)]));
    this.#packer = new Packer(device, pipelines, kernels, this.#bindingBytes);
  }

  /** Compiles what {@link WeightStore.write} needs, so that it need not wait. */
  prepare(): Promise<void> {
    return this.#packer!.prepare();
  }

  part(tensor: string): PlacedPart {
    return this.#parts.get(tensor)!;
  }

  vector(weight: Weight): Range {
    return this.#vectorRanges.get(weight)!();
  }

  write(tensor: string, firstRow: number, bytes: Uint8Array): void {
    const vector = this.#vectorParts.get(tensor);
    if (vector) {
      if (bytes.length !== vector.length * 4) throw new RangeError(`Cannot load ${tensor}: expected ${vector.length * 4} bytes, got ${bytes.length}`);
      const { buffer, offset } = vector.range();
      this.#device!.queue.writeBuffer(buffer, offset + vector.offset * 4, writable(bytes));
      this.#missing.set(tensor, 0);
      return;
    }
    const part = this.#parts.get(tensor);
    if (!part) throw new RangeError(`Cannot load ${tensor}: the program has no such tensor`);
    const stride = rowBytes(part.format, part.cols), rows = bytes.length / stride;
    if (!Number.isInteger(rows) || firstRow + rows > part.rows) {
      throw new RangeError(`Cannot load ${tensor}: ${bytes.length} bytes at row ${firstRow} are not whole rows of ${stride} bytes within ${part.rows} rows`);
    }
    this.#packer!.add(part, firstRow, bytes);
    this.#missing.set(tensor, this.#missing.get(tensor)! - rows);
  }

  /**
   * Waits for the last upload.
   *
   * @throws {TypeError} naming a tensor that was not written in full.
   * @throws {RangeError} naming the place of a value that is not finite.
   */
  async finish(): Promise<void> {
    for (const [tensor, rows] of this.#missing) {
      if (rows !== 0) throw new TypeError(`Cannot use the model: ${tensor} lacks ${rows} rows`);
    }
    await this.#packer!.finish();
    this.#packer!.destroy();
  }

  destroy(): void {
    for (const arena of [this.#data, this.#scales, this.#vectors]) arena.destroy();
    this.#packer?.destroy();
  }
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (x: number, y: number): number => y === 0 ? x : divisor(y, x % y);
  return a / divisor(a, b) * b;
}

/** `headDim` of the tensors that make q and k. */
function rotaryParts(program: Program): Map<string, number> {
  const found = new Map<string, number>();
  for (const { op, binds, consts } of program.steps) {
    if (op !== "ropeStore") continue;
    const source = program.steps.findLast((step) =>
      step.op === "normLinear" && step.binds[4] === binds[0] && !found.has((step.binds[2] as Weight).parts[0].tensor)
    );
    for (const part of (source!.binds[2] as Weight).parts.slice(0, 2)) found.set(part.tensor, consts.headDim);
  }
  return found;
}

/** Weights whose rows come in groups of 16: the narrow ones that add to the residual. */
function narrowWeights(program: Program): Set<Weight> {
  return new Set(program.steps.filter(({ op }) => op === "linearAdd").map(({ binds }) => binds[1] as Weight).filter(({ rows }) => rows < narrowRows));
}

/** The kernel that packs a part. */
function packing(part: PlacedPart): Kernel {
  return { name: "pack", parts: ["pack", "layout", ...layouts[part.format].pack], access: "urww", constants: {} };
}
