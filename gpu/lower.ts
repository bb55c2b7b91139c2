/**
 * Lowers the steps of a program to dispatches: fused ops are split into the kernels that exist.
 * With lower_linear.ts the one place where kernels are chosen: by op, weight format, rows of the batch.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import { rowBytes } from "../engine/formats.ts";
import type { Buffer, Cache, Program, Step, Weight } from "../engine/program.ts";
import { type Counts, headsTogether, tileRowsOf } from "./batch_inputs.ts";
import { type Cost, type Dispatch, dispatch, type Lowered, type Memory } from "./dispatch.ts";
import { isGated } from "./linear_spans.ts";
import { linear } from "./lower_linear.ts";
import { normalise, quantize } from "./lower_norm.ts";
import { matrixOf } from "./matrix.ts";
import { layouts } from "./weights.ts";

export type { Dispatch, Memory } from "./dispatch.ts";

/** All dispatches of a program in order. */
export function lower(program: Program, options: CompileOptions, memory: Memory): Dispatch[] {
  const activation = program.steps.find(({ op }) => op === "normGatedLinear")?.consts.activation ?? 0;
  const { steps } = program;
  return steps.flatMap((step, index) => lowerings[step.op]({ step, index, previous: steps[index - 1], next: steps[index + 1], options, activation, memory }));
}

const lowerings: Record<Step["op"], (at: Lowered) => Dispatch[]> = {
  embed(at) {
    const [table, out] = at.step.binds as [Weight, Buffer], { weights, inputs, buffer } = access(at.memory);
    const part = weights.part(table.parts[0].tensor);
    return part.chunks.map((chunk) =>
      dispatch(at, {
        parts: ["embed", "batch", "matrix", "layout", ...layouts[part.format].weight, "x_none"],
        access: "uurrrw",
        constants: {},
        resources: [
          inputs.batch,
          matrixOf(at, { inner: part.cols, rows: chunk.rows, first: chunk.firstRow }),
          inputs.tokens,
          chunk.data(),
          chunk.scales(),
          buffer(out),
        ],
        grid: ({ rows }) => [rows, Math.ceil(part.cols / 256), 1],
        cost: ({ rows }) => ({ bytes: rows * (rowBytes(part.format, part.cols) + part.cols * 4) / part.chunks.length, operations: 0 }),
      })
    );
  },
  normLinear(at) {
    const [x, , weight, bias, out] = at.step.binds as [Buffer, Weight, Weight, Weight | null, Buffer];
    return [
      ...normalise(at),
      ...linear(at, { weight, bias, out, epilogue: "set", x: at.memory.scratch.normed, rowKind: x.rows }),
    ];
  },
  ropeStore(at) {
    const [qkv, cache] = at.step.binds as [Buffer, Cache], { heads, kvHeads, headDim, rope } = at.step.consts, { inputs, buffer } = access(at.memory);
    return [dispatch(at, {
      parts: ["rope_store", "batch", `cache_${at.options.cacheType}_store`],
      access: "urrww",
      constants: { heads, kv_heads: kvHeads, head_dim: headDim, rope, slots_in_cache: at.options.blocks * at.options.blockSize },
      resources: [inputs.batch, inputs.angles, inputs.slots, buffer(qkv), at.memory.cache(cache)],
      grid: ({ rows }) => [rows, Math.ceil((rope * heads + 2 * kvHeads) * headDim / 512), 1],
      // q is rotated in place, k and v are read and stored
      cost: ({ rows }) => ({ bytes: rows * headDim * (heads * 8 * rope + 2 * kvHeads * (4 + cacheBytes(at))), operations: 0 }),
    })];
  },
  attention(at) {
    const [qkv, cache, out] = at.step.binds as [Buffer, Cache, Buffer], { heads, kvHeads, headDim, window } = at.step.consts;
    const { inputs, buffer, scratch } = access(at.memory), { blockSize, blocks, cacheType } = at.options;
    const constants = { heads, kv_heads: kvHeads, head_dim: headDim, window, block_size: blockSize, slots_in_cache: blocks * blockSize };
    const [queries, kv, result] = [buffer(qkv), at.memory.cache(cache), buffer(out)];
    const cost = (rows: number, keys: number, pairs: number): Cost => ({
      bytes: headDim * (2 * keys * kvHeads * cacheBytes(at) + 8 * rows * heads),
      operations: 4 * pairs * heads * headDim,
    });
    if (headDim % 8 !== 0) {
      return [dispatch(at, {
        parts: ["attention", "batch", `cache_${cacheType}`],
        access: "urrrrw",
        constants,
        resources: [inputs.batch, inputs.rowContext, inputs.blockTables, queries, kv, result],
        grid: ({ rows }) => [rows, heads, 1],
        cost: ({ rows, singleKeys, tileKeys, singlePairs, tilePairs }) => cost(rows, singleKeys + tileKeys, singlePairs + tilePairs),
      })];
    }
    // A thread for each eight dimensions of a key, as many keys as 256 threads and 20 KB of workgroup memory take.
    const together = headsTogether(heads, kvHeads), eights = headDim / 8, keyLanes = Math.min(Math.floor(256 / eights), Math.floor(320 / (eights + 1)));
    const sliceLanes = Math.floor(1024 / headDim);
    const units = ["batch", "eight", "stored", `cache_${cacheType}_units`];
    const combine = (list: GPUBuffer, ofTiles: number, of: (counts: Counts) => readonly [rows: number, slices: number]) =>
      dispatch(at, {
        parts: ["attention_combine", "batch"],
        access: "urrw",
        constants: { heads, head_dim: headDim, of_tiles: ofTiles, slice_lanes: sliceLanes, sums_size: sliceLanes * headDim / 4 },
        resources: [inputs.batch, list, scratch.partial, result],
        grid: (counts) => {
          const [rows, slices] = of(counts);
          return rows > 0 && slices > 1 ? [rows, heads, 1] : undefined;
        },
        cost: (work) => {
          const [rows, slices] = of(work);
          return { bytes: rows * heads * 4 * (slices * (headDim + 4) + headDim), operations: 0 };
        },
      });
    return [
      dispatch(at, {
        parts: ["attention_tiles", ...units],
        access: "urrrrww",
        constants: { ...constants, tile_rows: tileRowsOf(heads, kvHeads) },
        resources: [inputs.batch, inputs.tiles, inputs.blockTables, queries, kv, result, scratch.partial],
        grid: ({ tiles, tileSlices }) => tiles > 0 ? [kvHeads * Math.ceil(headDim / 128) * tileSlices, tiles, 1] : undefined,
        cost: ({ rows, singles, tileKeys, tilePairs }) => cost(rows - singles, tileKeys, tilePairs),
      }),
      combine(inputs.tileRows, 1, ({ tiles, tileSlices }) => [tiles * tileRowsOf(heads, kvHeads), tileSlices]),
      dispatch(at, {
        parts: ["attention_rows", ...units],
        access: "urrrrrww",
        constants: {
          ...constants,
          together,
          key_lanes: keyLanes,
          dots_size: 4 * keyLanes * (eights + 1),
          scores_size: 4 * keyLanes,
        },
        resources: [inputs.batch, inputs.rowContext, inputs.blockTables, inputs.singles, queries, kv, result, scratch.partial],
        grid: ({ singles, slices }) => singles > 0 ? [singles, heads / together, slices] : undefined,
        cost: ({ singles, singleKeys, singlePairs }) => cost(singles, singleKeys, singlePairs),
      }),
      combine(inputs.singles, 0, ({ singles, slices }) => [singles, slices]),
    ];
  },
  linearAdd(at) {
    const [x, weight, bias, out] = at.step.binds as [Buffer, Weight, Weight | null, Buffer], { buffer } = access(at.memory);
    return [
      ...quantize(at, x, weight),
      ...linear(at, { weight, bias, out, epilogue: "add", x: buffer(x), rowKind: x.rows }),
    ];
  },
  normGatedLinear(at) {
    const [x, , weight, bias, out] = at.step.binds as [Buffer, Weight, Weight, Weight | null, Buffer];
    const common = { bias, out, x: at.memory.scratch.normed, rowKind: x.rows };
    const [gate, up] = weight.parts.map((part) => ({ ...weight, rows: part.rows, parts: [part] }));
    return [
      ...normalise(at),
      ...isGated(at, weight, bias) ? linear(at, { ...common, weight, epilogue: "set", gated: gate.rows }) : [
        ...linear(at, { ...common, weight: gate, epilogue: "set" }),
        ...linear(at, { ...common, weight: up, epilogue: "gate", biasFirst: gate.rows }),
      ],
    ];
  },
  gather(at) {
    const [x, out] = at.step.binds as [Buffer, Buffer], { inputs, buffer } = access(at.memory);
    return [dispatch(at, {
      parts: ["gather", "batch"],
      access: "urrw",
      constants: { cols: out.cols },
      resources: [inputs.batch, inputs.outputRows, buffer(x), buffer(out)],
      grid: ({ outputs }) => outputs > 0 ? [outputs, Math.ceil(out.cols / 256), 1] : undefined,
      cost: ({ outputs }) => ({ bytes: outputs * out.cols * 8, operations: 0 }),
    })];
  },
};

/** Bytes of a value in the KV cache. */
function cacheBytes({ options }: Lowered): number {
  return options.cacheType === "f32" ? 4 : 2;
}

function access(memory: Memory) {
  return { inputs: memory.inputs, weights: memory.weights, scratch: memory.scratch, buffer: (buffer: Buffer) => memory.buffer(buffer) };
}
