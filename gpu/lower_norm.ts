/**
 * Lowers what comes before a linear: norms and int8 images of its input, joined with the end of the linear before it where that leaves planes of sums.
 *
 * @module
 */
import type { Buffer, RowKind, Step, Weight } from "../engine/program.ts";
import type { Counts } from "./batch_inputs.ts";
import { type Dispatch, dispatch, type Grid, type Lowered, rowsOf, type Work } from "./dispatch.ts";
import { int8Bytes, isGated, isInt8, isPlain, type Span, spans } from "./linear_spans.ts";
import { type Cut, cut, fewRowsOf } from "./linear_tiles.ts";
import { matrixOf } from "./matrix.ts";

/** Values of a workgroup of `quantize_rows.wgsl`. */
const quantizedTogether = 1024;

/** The forms in which a weight's kernels read its input. */
function formsOf(at: Lowered, weight: Weight): ("float" | "int8")[] {
  const int8 = weight.parts.map(({ tensor }) => isInt8(at, at.memory.weights.part(tensor)));
  return [...int8.includes(false) ? ["float" as const] : [], ...int8.includes(true) ? ["int8" as const] : []];
}

/** Where the int8 image of what a step's linear reads lies. */
export function int8Image({ previous, memory: { scratch } }: Lowered, { op, binds }: Step): [units: GPUBuffer, factors: GPUBuffer] {
  const isProduct = op === "linearAdd" && previous?.op === "normGatedLinear" && previous.binds[4] === binds[0];
  return isProduct ? [scratch.gatedUnits, scratch.gatedFactors] : [scratch.units, scratch.factors];
}

/** Whether kernels that make products of gate and up leave the int8 image that the step behind them reads. */
export function quantizesProducts(at: Lowered, { op, binds }: Step, next: Step | undefined): boolean {
  const [, , weight, bias, out] = binds as [Buffer, Weight, Weight, Weight | null, Buffer];
  if (op !== "normGatedLinear" || next?.op !== "linearAdd" || next.binds[0] !== out || !isGated(at, weight, bias)) return false;
  return formsOf(at, weight)[0] === "int8" && formsOf(at, next.binds[1] as Weight).includes("int8");
}

/** The int8 image of the rows that a linear reads, where its weight wants one, for batches for which the step before it did not leave it. */
export function quantize(at: Lowered, x: Buffer, weight: Weight): Dispatch[] {
  if (!formsOf(at, weight).includes("int8")) return [];
  const { cols } = x, isDone = quantizedBefore(at);
  return [dispatch(at, {
    parts: ["quantize_rows", "batch", "matrix", "normed_int8"],
    access: "uuwwr",
    constants: {},
    resources: [at.memory.inputs.batch, matrixOf(at, { inner: cols }), ...int8Image(at, at.step), at.memory.buffer(x)],
    grid: (counts) => {
      const rows = rowsOf(x.rows, counts);
      return rows > 0 && !isDone(rows) ? [Math.ceil(cols / quantizedTogether), rows, 1] : undefined;
    },
    cost: (work) => ({ bytes: rowsOf(x.rows, work) * cols * (4 + int8Bytes), operations: 0 }),
  })];
}

/** The batches for which the step before has left the int8 image of its products. */
function quantizedBefore(at: Lowered): (rows: number) => boolean {
  const before = at.previous;
  if (!before || !quantizesProducts(at, before, at.step)) return () => false;
  const [x, , weight, bias] = before.binds as [Buffer, Weight, Weight, Weight | null], [span] = spans(at.memory, weight, bias !== null);
  const cuts = cutsOf(at, span, x.rows).filter(({ splits, tile }) => splits === 1 && tile.parts.includes("gated_none"));
  return (rows) => rows <= fewRowsOf(at.memory, "int8") || isWithin(cuts, rows);
}

/** The norm of a step, in the forms that its weight's kernels read, for batches whose rows the step before it has not normalised yet. */
export function normalise(at: Lowered): Dispatch[] {
  const [x, , weight] = at.step.binds as [Buffer, Weight, Weight], before = at.previous && joinedSpan(at, at.previous, at.step);
  const done = before ? cutsOf(at, before, x.rows).filter(({ splits }) => splits > 1) : [];
  return formsOf(at, weight).map((form) => norm(at, at.step, form, (rows) => !isWithin(done, rows)));
}

/**
 * Adds the planes that a step's linear left to the residual and normalises it for the next step.
 *
 * @returns undefined where the next step does not begin with a norm of just that.
 */
export function addAndNormalise(at: Lowered, splits: number, fits: (rows: number) => boolean): Dispatch | undefined {
  if (!at.next || !joinedSpan(at, at.step, at.next)) return undefined;
  const [form] = formsOf(at, at.next.binds[2] as Weight);
  return norm(at, at.next, form, fits, { splits, bias: at.step.binds[2] as Weight | null });
}

/** The weight of a linear whose result the next step normalises, when one dispatch can end the one and begin the other. */
function joinedSpan(at: Lowered, adding: Step, norming: Step): Span | undefined {
  if (adding.op !== "linearAdd" || (norming.op !== "normLinear" && norming.op !== "normGatedLinear")) return undefined;
  const [, weight, bias, out] = adding.binds as [Buffer, Weight, Weight | null, Buffer], all = spans(at.memory, weight, bias !== null);
  const fits = norming.binds[0] === out && all.length === 1 && !isPlain(all[0]) && out.cols % 32 === 0;
  return fits && formsOf(at, norming.binds[2] as Weight).length === 1 ? all[0] : undefined;
}

/** How tiles make the linear of a span, by rows of the batch. */
export function cutsOf(at: Lowered, span: Span, kind: RowKind): Cut[] {
  const most = kind === "tokens" ? at.options.maxRows : at.options.maxOutputs;
  return cut(at.memory, isInt8(at, span) ? "int8" : "float", span.rows, span.cols, most);
}

function isWithin(cuts: readonly Cut[], rows: number): boolean {
  return cuts.some(({ above, upTo }) => rows > above && rows <= upTo);
}

/** A norm, of rows as they lie there or of rows to which planes are yet to be added. */
function norm(at: Lowered, { binds, consts }: Step, form: "float" | "int8", fits: (rows: number) => boolean, planes?: { splits: number; bias: Weight | null }) {
  const [x, weight] = binds as [Buffer, Weight], { inputs, scratch, weights } = at.memory, { cols } = x, { eps } = consts;
  const grid = (counts: Counts): Grid => {
    const rows = rowsOf(x.rows, counts);
    return rows > 0 && fits(rows) ? [rows, 1, 1] : undefined;
  };
  const outputs = form === "int8" ? [scratch.units, scratch.factors] : [scratch.normed, scratch.nothing];
  const cost = (work: Work) => ({
    bytes: rowsOf(x.rows, work) * cols * (4 + (form === "int8" ? int8Bytes : 4) + (planes ? 4 * planes.splits + 4 : 0)),
    operations: 0,
  });
  if (cols % 4 !== 0) {
    const resources = [inputs.batch, at.memory.buffer(x), weights.vector(weight), scratch.normed];
    return dispatch(at, { parts: ["rms_norm", "batch"], access: "urrw", constants: { cols, eps }, resources, grid, cost });
  }
  const bias = planes?.bias ? weights.vector(planes.bias) : scratch.nothing;
  return dispatch(at, {
    parts: ["rms_norm_units", "batch", "matrix", planes ? "norm_of_planes" : "norm_of_rows", form === "int8" ? "normed_int8" : "normed_float"],
    access: `uu${form === "int8" ? "ww" : "wr"}${planes ? "wrrr" : "rr"}`,
    constants: { eps, ...planes && { has_bias: planes.bias ? 1 : 0 } },
    resources: [
      inputs.batch,
      matrixOf(at, { inner: cols, splits: planes?.splits, ofOutputs: x.rows === "outputs" ? 1 : 0 }),
      ...outputs,
      at.memory.buffer(x),
      weights.vector(weight),
      ...planes ? [scratch.planes, bias] : [],
    ],
    grid,
    cost,
  });
}
