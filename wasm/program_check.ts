/**
 * What a program must be for the crate to run it.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import { rowBytes } from "../engine/formats.ts";
import type { Program, Step } from "../engine/program.ts";
import { matrixOf } from "./sharding.ts";

/** Most parts of a weight: `MOST_PARTS` in the crate's program.rs. */
const MOST_PARTS = 8;

/**
 * Refuses what the crate cannot run.
 *
 * @throws {TypeError} when a tensor has no format, a vector is not f32, or a gated weight is not gate over up.
 * @throws {RangeError} when a number is out of range.
 */
export function checkProgram(program: Program, { formats, threads }: CompileOptions): void {
  if (!(threads >= 1)) throw new RangeError(`Cannot use ${threads} threads: at least 1 is needed`);
  if (program.steps[0]?.op !== "embed") throw new TypeError(`Cannot compile ${program.name}: its first step must be embed`);
  for (const step of program.steps) {
    checkFormats(step, formats);
    checkShape(step);
  }
}

function checkFormats(step: Step, formats: CompileOptions["formats"]): void {
  const matrix = matrixOf(step);
  for (const bound of step.binds) {
    if (bound?.kind !== "weight") continue;
    for (const { tensor } of bound.parts) {
      const format = formats.get(tensor);
      if (format === undefined) throw new TypeError(`Cannot compile step ${step.label}: ${tensor} has no format`);
      if (bound === matrix) rowBytes(format, bound.cols); // whole blocks?
      else if (format !== "f32") throw new TypeError(`Cannot compile step ${step.label}: the vector ${tensor} must be f32, got ${format}`);
    }
  }
}

function checkShape(step: Step): void {
  const matrix = matrixOf(step), { heads, kvHeads, headDim } = step.consts;
  const parts = matrix?.parts ?? [];
  if (parts.length > MOST_PARTS) {
    throw new RangeError(`Cannot compile step ${step.label}: ${matrix!.name} has ${parts.length} parts, at most ${MOST_PARTS} are possible`);
  }
  if (step.op === "normGatedLinear" && (parts.length !== 2 || parts[0].rows !== parts[1].rows)) {
    throw new TypeError(`Cannot compile step ${step.label}: ${matrix!.name} must be two parts of equal shape, gate and up`);
  }
  if (heads !== undefined && (heads % kvHeads !== 0 || headDim % 2 !== 0)) {
    throw new RangeError(`Cannot compile step ${step.label}: ${heads} heads of ${headDim} values do not go with ${kvHeads} KV heads`);
  }
}
