/**
 * A weight as kernels see it: rows that lie one behind the other in one binding.
 *
 * @module
 */
import type { Weight } from "../engine/program.ts";
import type { Range } from "./arena.ts";
import type { Lowered, Memory } from "./dispatch.ts";
import { type GpuFormat, layouts, type PlacedPart } from "./weights.ts";

/** Formats that packed dot products with int8 activations can take, with the parts that make them signed bytes. */
export const int8Parts: Partial<Record<GpuFormat, readonly string[]>> = {
  q4_0: ["int8_q4_0"],
  q4_1: ["int8_q4_1"],
  q8_0: ["int8_q8_0"],
  q4_k: ["weight_k", "int8_k_minimums", "int8_q4_k"],
  q5_k: ["weight_k", "int8_k_minimums", "int8_q5_k"],
  q6_k: ["weight_k", "int8_q6_k"],
};

/** Bytes of an activation as int8, its share of the factors of a block of 32 included. */
export const int8Bytes = 1.25;

/** Adjacent rows of a weight in one binding. */
export interface Span {
  readonly format: GpuFormat;
  readonly rows: number;
  readonly cols: number;
  readonly half: boolean;
  readonly rotary: number;
  /** Column of the result where its outputs begin. */
  readonly first: number;
  readonly data: Range;
  readonly scales: Range;
}

/** Whether a matrix meets int8 activations. */
export function isInt8(at: Lowered, { format, cols }: Pick<PlacedPart, "format" | "cols">): boolean {
  return at.options.activations === "int8" && format in int8Parts && cols % 64 === 0;
}

/** Whether gate and up can be made together: in one binding, one behind the other, by kernels that know how. */
export function isGated(at: Lowered, weight: Weight, bias: Weight | null): boolean {
  const [gate, up] = weight.parts, all = spans(at.memory, weight, bias !== null);
  return weight.parts.length === 2 && gate.rows === up.rows && all.length === 1 && !isPlain(all[0]);
}

/** Widths that do not fit the fast kernels. */
export function isPlain({ cols }: Span): boolean {
  return cols % 32 !== 0;
}

/** The chunks of a weight, joined where one follows the other in memory. */
export function spans(memory: Memory, weight: Weight, hasBias: boolean): Span[] {
  const found: Span[] = [];
  let first = 0;
  for (const { tensor, rows } of weight.parts) {
    const part = memory.weights.part(tensor);
    for (const chunk of part.chunks) {
      const { format, cols, half, rotary } = part;
      const next: Span = { format, cols, half, rotary, rows: chunk.rows, first: first + chunk.firstRow, data: chunk.data(), scales: chunk.scales() };
      const last = found.at(-1);
      if (last && follows(last, next) && !(hasBias && last.rotary !== rotary)) found[found.length - 1] = joined(last, next);
      else found.push(next);
    }
    first += rows;
  }
  return found;
}

function follows(a: Span, b: Span): boolean {
  const adjoins = (x: Range, y: Range) => x.buffer === y.buffer && x.offset + x.size === y.offset;
  const scaled = layouts[a.format].scaleBytes > 0;
  return a.format === b.format && a.cols === b.cols && a.half === b.half && a.rows % 32 === 0 && adjoins(a.data, b.data) &&
    (!scaled || adjoins(a.scales, b.scales));
}

function joined(a: Span, b: Span): Span {
  const join = (x: Range, y: Range): Range => ({ ...x, size: y.offset + y.size - x.offset });
  return { ...a, rows: a.rows + b.rows, data: join(a.data, b.data), scales: layouts[a.format].scaleBytes > 0 ? join(a.scales, b.scales) : a.scales };
}
