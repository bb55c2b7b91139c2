/**
 * Steps as the 32-bit words that every thread walks; `wasm/model/src/program.rs` reads them and says how they lie.
 *
 * @module
 */
import type { CacheType } from "../engine/backend.ts";
import type { Format } from "../engine/formats.ts";
import { type Binding, type OpName, ops, type Step, type Weight } from "../engine/program.ts";

/** Where operands lie. */
export interface Addresses {
  /** A buffer, vector or cache. */
  of(bound: Binding): number;
  /** Format and address of each part of a matrix. */
  parts(matrix: Weight): readonly { readonly format: Format; readonly rows: number; readonly address: number }[];
}

const opNumbers = Object.keys(ops) as OpName[];
/** Formats with kernels, in the order of `Format` in the crate. */
export const formatNumbers: readonly Format[] = [
  ...["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q4_k", "q5_k", "q6_k", "nf4", "nf4_bf16", "nf4_f16", "fp4", "fp4_bf16", "fp4_f16"] as const,
];
const floatConstants = new Set(["eps"]);

/** In the order of the crate's `Context`. */
const cacheTypes: readonly CacheType[] = ["f32", "f16", "bf16"];

/** Number of a format in the crate. */
export const formatNumber = (format: Format) => formatNumbers.indexOf(format);
/** Number of a cache type in the crate. */
export const cacheTypeNumber = (type: CacheType) => cacheTypes.indexOf(type);

/** The bits of a number as float32. */
function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}

/** Encodes steps that run in one memory. `starts` are the words where each begins, then their number. */
export function encode(steps: readonly Step[], addresses: Addresses): { words: Uint32Array; starts: number[] } {
  const words: number[] = [], starts = [0];
  for (const step of steps) {
    const operands = ops[step.op].binds.flatMap((name, i) => {
      const bound = step.binds[i];
      if (bound === null) return [0];
      if (bound.kind === "buffer") return [addresses.of(bound), bound.cols];
      if (bound.kind === "cache" || (name !== "table" && name !== "weight")) return [addresses.of(bound)];
      const parts = addresses.parts(bound);
      return [bound.cols, parts.length, ...parts.flatMap((part) => [formatNumber(part.format), part.rows, part.address])];
    });
    const consts = Object.entries(step.consts).map(([name, value]) => floatConstants.has(name) ? floatBits(value) : value);
    const first = step.binds.find((bound) => bound?.kind === "buffer");
    const rows = first?.kind === "buffer" && first.rows === "outputs" ? 1 : 0;
    words.push(opNumbers.indexOf(step.op), rows, operands.length + consts.length, ...operands, ...consts);
    starts.push(words.length);
  }
  return { words: Uint32Array.from(words), starts };
}
