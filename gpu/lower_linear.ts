/**
 * Lowers linears: which kernel for which weights and rows, how finely the work is cut, what is joined.
 *
 * @module
 */
import { isFourBit } from "../engine/formats.ts";
import type { Buffer, RowKind, Weight } from "../engine/program.ts";
import type { Range } from "./arena.ts";
import { type Cost, type Dispatch, dispatch, type Grid, type Lowered, rowsOf } from "./dispatch.ts";
import { int8Bytes, int8Parts, isInt8, isPlain, type Span, spans } from "./linear_spans.ts";
import { fewRowsOf } from "./linear_tiles.ts";
import { addAndNormalise, cutsOf, int8Image, quantizesProducts } from "./lower_norm.ts";
import { type MatrixFields, matrixOf } from "./matrix.ts";
import { type GpuFormat, layouts } from "./weights.ts";

/** What a linear does with its result (epilogue.wgsl): stores it, adds it to what is there, multiplies it with the activation of what is there. */
export type Epilogue = "set" | "add" | "gate";

/** Rows up to which kernels for any width make one row after the other. */
const plainRows = 8;

/** A linear of a step. */
export interface Linear {
  readonly weight: Weight;
  readonly bias: Weight | null;
  /** Added to a column to find its bias. */
  readonly biasFirst?: number;
  readonly out: Buffer;
  readonly epilogue: Epilogue;
  /** Rows of gate, when the weight is gate and up and both are made together. */
  readonly gated?: number;
  /** Its input as f32. */
  readonly x: GPUBuffer;
  readonly rowKind: RowKind;
}

/** The dispatches of a linear whose input lower_norm.ts has prepared. */
export function linear(at: Lowered, linear: Linear): Dispatch[] {
  return spans(at.memory, linear.weight, linear.bias !== null).flatMap((span) => isPlain(span) ? plain(at, linear, span) : tuned(at, linear, span));
}

/** The parts that give eight weights as floats. */
function floatParts(format: GpuFormat): readonly string[] {
  const { weight } = layouts[format];
  if (isFourBit(format)) return ["tile_four_bit", ...weight];
  return format === "bf16" || format === "f16" || format === "f32" ? [`tile_${format}`] : [`tile_${format}`, ...weight, "x_none"];
}

/** Kernels that take any width: weights as f32, one by one or in blocks. */
function plain(at: Lowered, linear: Linear, span: Span): Dispatch[] {
  const { inputs, scratch } = at.memory, matrix = matrixOf(at, fieldsOf(linear, span));
  const resources = [inputs.batch, matrix, span.data, span.scales, linear.x, biasOf(at, linear) ?? scratch.nothing, at.memory.buffer(linear.out)];
  const make = (name: string, grid: (rows: number) => Grid) =>
    dispatch(at, {
      parts: [name, "batch", "matrix", "epilogue", "layout", ...layouts[span.format].weight, "x_at"],
      access: "uurrrrw",
      constants: constantsOf(at, linear),
      resources,
      grid: (counts) => grid(rowsOf(linear.rowKind, counts)),
      cost: (work) => costOf(linear, span, rowsOf(linear.rowKind, work)),
    });
  return [
    make("linear_rows", (rows) => rows > 0 && rows <= plainRows ? [Math.ceil(span.rows / 32), rows, 1] : undefined),
    make("linear_tiles", (rows) => rows > plainRows ? [Math.ceil(span.rows / 64), Math.ceil(rows / 64), 1] : undefined),
  ];
}

/** Kernels for widths that are multiples of 32: few rows, tiles of 32 rows, tiles of 128 rows, the latter two with K split where that fills the device. */
function tuned(at: Lowered, linear: Linear, span: Span): Dispatch[] {
  const { inputs, scratch } = at.memory, int8 = isInt8(at, span), bias = biasOf(at, linear) ?? scratch.nothing, out = at.memory.buffer(linear.out);
  const kind = int8 ? "int8" : "float", format = int8 ? int8Parts[span.format]! : floatParts(span.format);
  const x = int8 ? int8Image(at, at.step) : [linear.x], shape = ["batch", "matrix", "eight", "epilogue", "layout"];
  const fields = fieldsOf(linear, span), constants = constantsOf(at, linear);
  const kept = int8 && linear.gated !== undefined && quantizesProducts(at, at.step, at.next) ? [scratch.gatedUnits, scratch.gatedFactors] : [];
  const make = (name: string, more: readonly string[], extra: Record<string, number>, splits: number, grid: (rows: number) => Grid) => {
    const keeps = splits === 1 && more.includes("gated_none") && kept.length > 0;
    return dispatch(at, {
      parts: [`linear_${kind}${name}`, ...shape, ...format, ...keeps ? more.map((part) => part === "gated_none" ? "gated_int8" : part) : more],
      access: `${int8 ? "uurrrrrw" : "uurrrrw"}${keeps ? "ww" : ""}`,
      constants: { ...constants, ...extra },
      resources: [
        inputs.batch,
        matrixOf(at, { ...fields, splits }),
        span.data,
        span.scales,
        ...x,
        bias,
        splits > 1 ? scratch.planes : out,
        ...keeps ? kept : [],
      ],
      grid: (counts) => grid(rowsOf(linear.rowKind, counts)),
      cost: (work) => costOf(linear, span, rowsOf(linear.rowKind, work), int8 ? int8Bytes : 4, splits > 1 ? splits : 0),
    });
  };
  const outputs = linear.gated ?? span.rows, groups = Math.ceil(outputs / (span.half ? 16 : 32)), made: Dispatch[] = [];
  for (let few = 1; few <= fewRowsOf(at.memory, kind); few *= 2) {
    made.push(
      make("_rows", ["rows_store", "gated_none"], { few, partial_size: 512 * few }, 1, (rows) => rows > few / 2 && rows <= few ? [groups, 1, 1] : undefined),
    );
  }
  for (const { tile, above, upTo, splits } of cutsOf(at, span, linear.rowKind)) {
    const fits = (rows: number) => rows > above && rows <= upTo, columns = Math.ceil(span.rows / tile.columns);
    const grid = (rows: number): Grid => fits(rows) ? [Math.ceil(rows / tile.rows), columns, splits] : undefined;
    made.push(make(tile.name, tile.parts, tile.constants, splits, grid));
    if (splits > 1) made.push(addAndNormalise(at, splits, fits) ?? sum(at, linear, span, splits, fits));
  }
  return made;
}

/** Adds the planes that a linear with split K left. */
function sum(at: Lowered, linear: Linear, span: Span, splits: number, fits: (rows: number) => boolean): Dispatch {
  const { inputs, scratch } = at.memory, matrix = matrixOf(at, { ...fieldsOf(linear, span), splits });
  return dispatch(at, {
    parts: ["linear_sum", "batch", "matrix", "epilogue"],
    access: "uurrw",
    constants: constantsOf(at, linear),
    resources: [inputs.batch, matrix, scratch.planes, biasOf(at, linear) ?? scratch.nothing, at.memory.buffer(linear.out)],
    grid: (counts) => {
      const rows = rowsOf(linear.rowKind, counts);
      return fits(rows) ? [Math.ceil((linear.gated ?? span.rows) / 256), rows, 1] : undefined;
    },
    cost: (work) => ({ bytes: rowsOf(linear.rowKind, work) * (splits * span.rows * 4 + outputBytes(linear, span)), operations: 0 }),
  });
}

/**
 * What a linear has to do.
 *
 * @param inputBytes Of one value of its input.
 * @param planes Planes of sums that it leaves in place of its outputs; 0: the outputs.
 */
function costOf(linear: Linear, span: Span, rows: number, inputBytes = 4, planes = 0): Cost {
  const weights = span.data.size + (layouts[span.format].scaleBytes > 0 ? span.scales.size : 0);
  const outputs = planes > 0 ? planes * span.rows * 4 : outputBytes(linear, span);
  return { bytes: weights + rows * (span.cols * inputBytes + outputs), operations: 2 * rows * span.rows * span.cols };
}

/** Bytes of a row of outputs, which are read before they are written unless they are set. */
function outputBytes({ epilogue, gated }: Linear, span: Span): number {
  return (gated ?? span.rows) * (epilogue === "set" ? 4 : 8);
}

function biasOf(at: Lowered, { bias }: Linear): Range | undefined {
  return bias ? at.memory.weights.vector(bias) : undefined;
}

/** What is worth a pipeline of its own. */
function constantsOf({ activation }: Lowered, { bias, epilogue }: Linear): Record<string, number> {
  return { activation, has_bias: bias ? 1 : 0, on_gate: epilogue === "gate" ? 1 : 0 };
}

function fieldsOf({ epilogue, biasFirst, rowKind, out, gated }: Linear, span: Span): MatrixFields {
  return {
    inner: span.cols,
    half: span.half ? 1 : 0,
    rows: span.rows,
    first: span.first,
    stride: out.cols,
    gated,
    adds: epilogue === "add" ? 1 : 0,
    biasFirst,
    rotary: span.rotary,
    ofOutputs: rowKind === "outputs" ? 1 : 0,
  };
}
