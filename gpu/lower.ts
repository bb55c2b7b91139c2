/**
 * Lowers the steps of a program to dispatches: fused ops are split into the kernels that exist, and each `linear` gets one dispatch a chunk of weights.
 * The one place where kernels are chosen: by op, weight format, rows of the batch.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import type { Buffer, Cache, Program, RowKind, Step, Weight } from "../engine/program.ts";
import type { Range } from "./arena.ts";
import type { BatchInputs } from "./batch_inputs.ts";
import type { Kernel } from "./pipelines.ts";
import { layouts, type PlacedPart, type WeightStore } from "./weights.ts";

/** What {@link lower} needs to know where things lie. */
export interface Memory {
  readonly inputs: BatchInputs;
  readonly weights: WeightStore;
  /** Normalised rows on their way from a norm to a linear, `[rows, widest]`. */
  readonly normed: Record<RowKind, GPUBuffer>;
  /** Bound where a kernel declares a bias or scales that it does not use. */
  readonly nothing: GPUBuffer;
  buffer(buffer: Buffer): GPUBuffer;
  cache(cache: Cache): Range;
}

/** One dispatch of a step, recorded when the batch's row count lies within its bounds. */
export interface Dispatch {
  readonly label: string;
  /** Index of its step. */
  readonly step: number;
  readonly kernel: Kernel;
  readonly resources: readonly GPUBindingResource[];
  readonly rowKind: RowKind;
  readonly minRows: number;
  readonly maxRows: number;
  grid(rows: number): readonly [number, number];
}

/** Up to so many rows a workgroup a row is faster than tiles of 64 rows. */
const fewRows = 8;
const epilogues = { set: 0, add: 1, gate: 2 };

/** All dispatches of a program in order. */
export function lower(program: Program, options: CompileOptions, memory: Memory): Dispatch[] {
  return program.steps.flatMap((step, index) => lowerings[step.op](step, index, options, memory));
}

type Lowering = (step: Step, index: number, options: CompileOptions, memory: Memory) => Dispatch[];

const lowerings: Record<Step["op"], Lowering> = {
  embed(step, index, _options, memory) {
    const [table, out] = step.binds as [Weight, Buffer];
    const part = memory.weights.part(table.parts[0].tensor), { inputs } = memory;
    return part.chunks.map((chunk) =>
      rowwise(step, index, out.rows, {
        kernel: ["embed", "batch", "layout", ...layouts[part.format].weight, "x_none"],
        access: "urrrw",
        constants: { inner: part.cols, blocks: part.blocks, first_row: chunk.firstRow, chunk_rows: chunk.rows },
        resources: [inputs.batch, inputs.tokens, chunk.data(), chunk.scales(), memory.buffer(out)],
      })
    );
  },
  normLinear(step, index, _options, memory) {
    const [x, norm, weight, bias, out] = step.binds as [Buffer, Weight, Weight, Weight | null, Buffer];
    const normed = memory.normed[x.rows];
    return [
      rmsNorm(step, index, x, norm, memory),
      ...linear(step, index, x.rows, normed, weight, bias, out, epilogues.set, memory),
    ];
  },
  ropeStore(step, index, options, memory) {
    const [qkv, cache] = step.binds as [Buffer, Cache], { inputs } = memory, { heads, kvHeads, headDim, rope } = step.consts;
    return [rowwise(step, index, qkv.rows, {
      kernel: ["rope_store", "batch", `cache_${options.cacheType}_store`],
      access: "urrww",
      constants: { heads, kv_heads: kvHeads, head_dim: headDim, rope, slots_in_cache: options.blocks * options.blockSize },
      resources: [inputs.batch, inputs.angles, inputs.slots, memory.buffer(qkv), memory.cache(cache)],
    })];
  },
  attention(step, index, options, memory) {
    const [qkv, cache, out] = step.binds as [Buffer, Cache, Buffer], { inputs } = memory, { heads, kvHeads, headDim, window } = step.consts;
    const { blockSize } = options;
    return [rowwise(step, index, qkv.rows, {
      kernel: ["attention", "batch", `cache_${options.cacheType}`],
      access: "urrrrw",
      constants: { heads, kv_heads: kvHeads, head_dim: headDim, window, block_size: blockSize, slots_in_cache: options.blocks * blockSize },
      resources: [inputs.batch, inputs.rowContext, inputs.blockTables, memory.buffer(qkv), memory.cache(cache), memory.buffer(out)],
      grid: (rows) => [rows, heads],
    })];
  },
  linearAdd(step, index, _options, memory) {
    const [x, weight, bias, out] = step.binds as [Buffer, Weight, Weight | null, Buffer];
    return linear(step, index, x.rows, memory.buffer(x), weight, bias, out, epilogues.add, memory);
  },
  normGatedLinear(step, index, _options, memory) {
    const [x, norm, weight, bias, out] = step.binds as [Buffer, Weight, Weight, Weight | null, Buffer];
    const normed = memory.normed[x.rows], [gate, up] = weight.parts.map((part) => memory.weights.part(part.tensor));
    const common = { step, index, rowKind: x.rows, x: normed, bias, out, memory };
    return [
      rmsNorm(step, index, x, norm, memory),
      ...linearPart({ ...common, part: gate, first: 0, biasFirst: 0, epilogue: epilogues.set }),
      ...linearPart({ ...common, part: up, first: 0, biasFirst: gate.rows, epilogue: epilogues.gate, activation: step.consts.activation }),
    ];
  },
  gather(step, index, _options, memory) {
    const [x, out] = step.binds as [Buffer, Buffer], { inputs } = memory;
    return [rowwise(step, index, out.rows, {
      kernel: ["gather", "batch"],
      access: "urrw",
      constants: { cols: out.cols },
      resources: [inputs.batch, inputs.outputRows, memory.buffer(x), memory.buffer(out)],
    })];
  },
};

interface Rowwise {
  kernel: string[];
  access: string;
  constants: Record<string, number>;
  resources: GPUBindingResource[];
  grid?: (rows: number) => readonly [number, number];
}

/** A dispatch with a workgroup a row, for any number of rows. */
function rowwise(step: Step, index: number, rowKind: RowKind, parts: Rowwise): Dispatch {
  const kernel = { name: `${step.label} ${parts.kernel[0]}`, parts: parts.kernel, access: parts.access, constants: parts.constants };
  const grid = parts.grid ?? ((rows) => [rows, 1]);
  return { label: step.label, step: index, kernel, resources: parts.resources, rowKind, minRows: 1, maxRows: Infinity, grid };
}

function rmsNorm(step: Step, index: number, x: Buffer, norm: Weight, memory: Memory): Dispatch {
  return rowwise(step, index, x.rows, {
    kernel: ["rms_norm", "batch"],
    access: "urrw",
    constants: { cols: x.cols, eps: step.consts.eps },
    resources: [memory.inputs.batch, memory.buffer(x), memory.weights.vector(norm), memory.normed[x.rows]],
  });
}

function linear(
  step: Step,
  index: number,
  rowKind: RowKind,
  x: GPUBuffer,
  weight: Weight,
  bias: Weight | null,
  out: Buffer,
  epilogue: number,
  memory: Memory,
): Dispatch[] {
  let first = 0;
  return weight.parts.flatMap(({ tensor, rows }) => {
    const dispatches = linearPart({ step, index, rowKind, x, part: memory.weights.part(tensor), bias, out, first, biasFirst: 0, epilogue, memory });
    first += rows;
    return dispatches;
  });
}

interface LinearPart {
  step: Step;
  index: number;
  rowKind: RowKind;
  x: GPUBuffer;
  part: PlacedPart;
  bias: Weight | null;
  out: Buffer;
  /** Column of `out` where the part's outputs begin. */
  first: number;
  /** Added to the column to find its bias. */
  biasFirst: number;
  epilogue: number;
  activation?: number;
  memory: Memory;
}

function linearPart(o: LinearPart): Dispatch[] {
  return o.part.chunks.flatMap((chunk) => {
    const constants = {
      inner: o.part.cols,
      blocks: o.part.blocks,
      rows: chunk.rows,
      first: o.first + chunk.firstRow,
      stride: o.out.cols,
      epilogue: o.epilogue,
      activation: o.activation ?? 0,
      has_bias: o.bias ? 1 : 0,
      bias_first: o.biasFirst,
      of_outputs: o.rowKind === "outputs" ? 1 : 0,
      rotary: o.part.rotary,
      half_groups: o.part.half ? 1 : 0,
    };
    const { inputs, weights, nothing } = o.memory;
    const resources = [
      inputs.batch,
      chunk.data(),
      chunk.scales(),
      o.x,
      o.bias ? weights.vector(o.bias) : nothing,
      o.memory.buffer(o.out),
    ];
    const kernel = (name: string): Kernel => ({
      name: `${o.step.label} ${name}`,
      parts: [name, "batch", "epilogue", "layout", ...layouts[o.part.format].weight, "x_at"],
      access: "urrrrw",
      constants,
    });
    const common = { label: o.step.label, step: o.index, resources, rowKind: o.rowKind };
    return [
      { ...common, kernel: kernel("linear_rows"), minRows: 1, maxRows: fewRows, grid: (rows: number) => [Math.ceil(chunk.rows / 32), rows] as const },
      {
        ...common,
        kernel: kernel("linear_tiles"),
        minRows: fewRows + 1,
        maxRows: Infinity,
        grid: (rows: number) => [Math.ceil(chunk.rows / 64), Math.ceil(rows / 64)] as const,
      },
    ];
  });
}
