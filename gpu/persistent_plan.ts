/**
 * What the persistent walk needs to know of a program: its dimensions, and where its weights, norms and caches lie.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import { activations, type Buffer, type Cache, type Program, type Step, type Weight } from "../engine/program.ts";
import type { Range } from "./arena.ts";
import type { Gpu } from "./device.ts";
import type { Memory } from "./lower.ts";
import { type Segment, stampedSource } from "./persistent_source.ts";
import type { Kernel } from "./pipelines.ts";
import { type GpuFormat, layouts, type PlacedPart } from "./weights.ts";

/** Weight formats with a part of their own. */
const formats: Partial<Record<GpuFormat, string[]>> = {
  q4_0: ["persistent_int8", "persistent_q4_0", "persistent_ahead_2"],
  q8_0: ["persistent_int8", "persistent_q8_0", "persistent_ahead_2"],
  bf16: ["persistent_wide", "persistent_bf16", "persistent_ahead_1"],
};

/** Steps of a layer in the order in which the model emits them. */
const layerOps = ["normLinear", "ropeStore", "attention", "linearAdd", "normGatedLinear", "linearAdd"];

/** Everything that follows from the program and from where its weights lie. */
export interface Walk {
  /** By length of the context. */
  readonly kernels: Readonly<Record<"near" | "middle" | "far", Kernel>>;
  readonly headDim: number;
  readonly slots: number;
  readonly floats: number;
  readonly scales: GPUBuffer;
  readonly vectors: GPUBuffer;
  readonly weights: readonly GPUBuffer[];
  readonly caches: readonly GPUBuffer[];
  readonly layerInfo: Uint32Array<ArrayBuffer>;
}

/** @returns The plan, or in words why the walk does not fit this program or device. */
export function planWalk(gpu: Gpu, program: Program, options: CompileOptions, memory: Memory, workgroups: number): Walk | string {
  if (!gpu.subgroups || !gpu.coherent) return `${gpu.name} does not grant subgroups and coherent storage`;
  if (gpu.subgroupSize !== 32) return `${gpu.name} has subgroups of ${gpu.subgroupSize}, not 32`;
  if (options.cacheType === "f32") return "the KV cache is f32";
  const shift = Math.log2(options.blockSize);
  if (!Number.isInteger(shift)) return `the block size ${options.blockSize} is no power of two`;
  const steps = program.steps, count = program.caches.length;
  const layers = Array.from({ length: count }, (_, l) => steps.slice(1 + 6 * l, 7 + 6 * l));
  if (steps.length !== 3 + 6 * count || layers.some((layer) => layer.some(({ op }, i) => op !== layerOps[i]))) return "its steps are not those of the walk";
  const part = (step: Step, bind: number, i = 0): PlacedPart => memory.weights.part((step.binds[bind] as Weight).parts[i].tensor);
  const first = layers[0], { heads, kvHeads, headDim } = first[1].consts, hidden = (first[0].binds[0] as Buffer).cols;
  const intermediate = (first[4].binds[4] as Buffer).cols, vocab = program.logits.cols, table = part(steps[0], 0), head = part(steps.at(-1)!, 2);
  const format = table.format;
  const matrices = layers.flatMap((
    layer,
  ) => [part(layer[0], 2, 0), part(layer[0], 2, 1), part(layer[0], 2, 2), part(layer[3], 1), part(layer[4], 2, 0), part(layer[4], 2, 1), part(layer[5], 1)]);
  if ([...matrices, head].some((matrix) => matrix.format !== format)) return "its matrices are not all of one format";
  const parts = formats[format];
  if (!parts) return `it has no part for ${format}`;
  if (format !== "bf16" && options.activations !== "int8") return "activations are to be float32";
  if (layers.some((layer) => [layer[0].binds[3], layer[3].binds[2], layer[4].binds[3], layer[5].binds[2]].some((bias) => bias !== null))) {
    return "it has biases";
  }
  if (activations[first[4].consts.activation] !== "silu") return `its activation is ${activations[first[4].consts.activation]}`;
  if (headDim !== 128 || 16 % (heads / kvHeads) !== 0) return `its heads (${heads} of ${headDim}, ${kvHeads} KV heads) do not fit the walk`;
  if (hidden % 64 !== 0 || intermediate % 64 !== 0 || hidden / 16 > Math.min(workgroups, 160)) {
    return `its widths ${hidden} and ${intermediate} do not fit ${workgroups} workgroups`;
  }
  if (8 * kvHeads > workgroups || kvHeads > 48) return `it has ${kvHeads} KV heads`;
  const rounds = Math.max(2 * Math.ceil(intermediate / 32 / workgroups), Math.ceil((heads + 2 * kvHeads) * 4 / workgroups));
  if (rounds > 6) return `its widths need ${rounds} rounds, the walk has room for 6`;
  if (matrices.some((matrix) => matrix.chunks.length !== 1) || head.chunks.length !== 1 || table.chunks.length !== 1) return "a matrix spans several bindings";
  if (memory.weights.scaleBuffers.length !== 1 || memory.weights.vectorBuffers.length !== 1) return "its scales or vectors span several bindings";

  const place = (matrix: PlacedPart) => [matrix.chunks[0].data().offset / 16, matrix.chunks[0].scales().offset / 4] as const;
  const cacheOf = (l: number): Range => memory.cache(layers[l][1].binds[1] as Cache);
  const offsets = (l: number) => {
    const [q, k, v, o, gate, up, down] = matrices.slice(7 * l, 7 * l + 7).map(place);
    const units = layouts[format].units, pairs = hidden / 64;
    const follows = (a: readonly number[], b: readonly number[], rows: number) =>
      b[0] - a[0] === rows * pairs * units * 2 && (format === "bf16" || b[1] - a[1] === rows * pairs);
    return {
      adjacent: follows(q, k, heads * headDim) && follows(k, v, kvHeads * headDim),
      all: [q, o, gate, up, down].map(([a, b]) => [a - q[0], b - q[1]]),
      start: q,
    };
  };
  const shape = offsets(0), segments: Segment[] = [];
  let layerStride = 0, layerScaleStride = 0, cacheStride = 0;
  for (let l = 0; l < count; l++) {
    const { adjacent, all, start } = offsets(l), weights = matrices[7 * l].chunks[0].data().buffer, cache = cacheOf(l), last = segments.at(-1);
    if (!adjacent || JSON.stringify(all) !== JSON.stringify(shape.all)) return `layer ${l} does not lie in memory as layer 0 does`;
    if (last && last.weights === weights && last.cache === cache.buffer) {
      const strides = [(start[0] - last.at[0]) / last.count, (start[1] - last.at[1]) / last.count, (cache.offset / 16 - last.at[2]) / last.count];
      if (layerStride === 0) [layerStride, layerScaleStride, cacheStride] = strides;
      if (strides[0] !== layerStride || strides[1] !== layerScaleStride || strides[2] !== cacheStride) {
        return `layer ${l} does not follow layer ${l - 1} in memory`;
      }
      last.count++;
    } else segments.push({ first: l, count: 1, weights, cache: cache.buffer, at: [start[0], start[1], cache.offset / 16] });
  }
  const weights = [...new Set([...segments.map((segment) => segment.weights), table.chunks[0].data().buffer, head.chunks[0].data().buffer])];
  const caches = [...new Set(segments.map((segment) => segment.cache))];
  const vector = (step: Step, bind: number) => memory.weights.vector(step.binds[bind] as Weight).offset / 4;
  const inputNorms = layers.map((layer) => vector(layer[0], 1)), postNorms = layers.map((layer) => vector(layer[4], 1));
  const normStride = count > 1 ? inputNorms[1] - inputNorms[0] : 0;
  if (layers.some((_, l) => inputNorms[l] !== inputNorms[0] + l * normStride || postNorms[l] !== postNorms[0] + l * normStride)) {
    return "its norms are not evenly spaced";
  }

  const [, o, gate, up, down] = shape.all,
    [tableAt, tableScaleAt] = place(table),
    [headAt, headScaleAt] = place(head),
    maxSlices = Math.floor(workgroups / kvHeads / 8) * 8;
  const source = stampedSource(segments, weights, caches, table.chunks[0].data().buffer, head.chunks[0].data().buffer);
  const kernel = (attention: string, contextSlices: number): Kernel => ({
    name: "persistent decode",
    parts: [
      "persistent",
      ...parts,
      "persistent_pairs",
      `persistent_cache_${options.cacheType}`,
      "persistent_sweep",
      "persistent_layer",
      attention,
      "persistent_combine",
      "persistent_head",
    ],
    access: `wrwwwwwrrrwr${"r".repeat(weights.length)}${"w".repeat(caches.length)}`,
    transform: source,
    constants: {
      workgroups,
      hidden,
      intermediate,
      heads,
      kv_heads: kvHeads,
      eps: first[0].consts.eps,
      block_shift: shift,
      value_plane: options.blocks * options.blockSize * kvHeads * headDim / 8,
      final_norm_at: vector(steps.at(-1)!, 1),
      input_norm_at: inputNorms[0],
      post_norm_at: postNorms[0],
      norm_stride: normStride,
      q_at: 0,
      q_scale_at: 0,
      o_at: o[0],
      o_scale_at: o[1],
      gate_at: gate[0],
      gate_scale_at: gate[1],
      up_at: up[0],
      up_scale_at: up[1],
      down_at: down[0],
      down_scale_at: down[1],
      layer_stride: layerStride,
      layer_scale_stride: layerScaleStride,
      cache_stride: cacheStride,
      last_layer: count - 1,
      table_at: tableAt,
      table_scale_at: tableScaleAt,
      head_at: headAt,
      head_scale_at: headScaleAt,
      vocab,
      context_slices: contextSlices,
    },
  });
  const middle = kernel("persistent_attention", maxSlices);
  return {
    kernels: {
      near: format === "bf16" ? middle : kernel("persistent_attention", Math.min(16, maxSlices)),
      middle,
      far: heads === 4 * kvHeads ? kernel("persistent_attention_far", maxSlices) : middle,
    },
    headDim,
    slots: (2 * hidden + heads * headDim + intermediate) / 16,
    floats: heads * headDim + 160 + heads * maxSlices * 132,
    scales: memory.weights.scaleBuffers[0],
    vectors: memory.weights.vectorBuffers[0],
    weights,
    caches,
    layerInfo: Uint32Array.from(layers.flatMap((layer) => [layer[1].consts.rope, layer[2].consts.window])),
  };
}
