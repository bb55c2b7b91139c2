/**
 * What kernels know of the matrix that they work with.
 *
 * @module
 */
import type { Range } from "./arena.ts";
import type { Lowered } from "./dispatch.ts";

/** Fields of `Matrix` in matrix.wgsl, in its order. */
const fieldNames = ["inner", "blocks", "half", "rows", "first", "stride", "gated", "splits", "adds", "biasFirst", "rotary", "ofOutputs"] as const;

/** Numbers of one use of a matrix; what is left out is 0, and `blocks` follow from `inner`. */
export type MatrixFields = Partial<Record<(typeof fieldNames)[number], number>> & { readonly inner: number };

/** The uniform `matrix` of a kernel. */
export function matrixOf({ memory }: Lowered, fields: MatrixFields): Range {
  const all: MatrixFields = { blocks: Math.ceil(fields.inner / 32), ...fields };
  return memory.scratch.parameters.record(fieldNames.map((name) => all[name] ?? 0));
}
