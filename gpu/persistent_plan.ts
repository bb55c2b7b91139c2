/**
 * What the persistent walk needs to know of a program: its dimensions, and where its weights, norms and caches lie.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import { type FourBitCode, isFourBit } from "../engine/formats.ts";
import { activations, type Buffer, type Cache, type Program, type Step, type Weight } from "../engine/program.ts";
import type { Range } from "./arena.ts";
import type { Gpu } from "./device.ts";
import type { Memory } from "./lower.ts";
import { type Kind, type Source, stampedSource } from "./persistent_source.ts";
import type { Kernel } from "./pipelines.ts";
import { type GpuFormat, layouts, type PlacedPart } from "./weights.ts";

const fourBit = (code: FourBitCode, type: "bf16" | "f16") => (
  { activations: "wide", parts: [`code_${code}`, `persistent_rounded_${type}`, "persistent_code", "persistent_ahead_1", "persistent_four_bit"] } as const
);

/** Weight formats with a part of their own: what activations they meet, and their kernel parts. */
export const walkFormats: Partial<Record<GpuFormat, { readonly activations: "int8" | "wide"; readonly parts: readonly string[] }>> = {
  q4_0: { activations: "int8", parts: ["persistent_ahead_2", "persistent_q4_0"] },
  q4_1: { activations: "int8", parts: ["persistent_ahead_2", "persistent_q4_1"] },
  q8_0: { activations: "int8", parts: ["persistent_ahead_2", "persistent_q8_0"] },
  q4_k: { activations: "int8", parts: ["persistent_ahead_2", "persistent_q4_k"] },
  q5_k: { activations: "int8", parts: ["persistent_ahead_2", "persistent_q5_k"] },
  q6_k: { activations: "int8", parts: ["persistent_ahead_2", "persistent_q6_k"] },
  f16: { activations: "wide", parts: ["persistent_ahead_1", "persistent_f16"] },
  bf16: { activations: "wide", parts: ["persistent_ahead_1", "persistent_bf16"] },
  nf4_bf16: fourBit("nf4", "bf16"),
  nf4_f16: fourBit("nf4", "f16"),
  fp4_bf16: fourBit("fp4", "bf16"),
  fp4_f16: fourBit("fp4", "f16"),
};

/** Steps of a layer in the order in which the model emits them. */
const layerOps = ["normLinear", "ropeStore", "attention", "linearAdd", "normGatedLinear", "linearAdd"];

/** Of each input, for as many shares of the workgroups: fewer wait for the same line of memory. */
const inputCopies = 4;
/** `most_slots` of persistent.wgsl. */
const mostSlots = 792;
/** Workgroup memory of a slot, and of a round of groups: a sum of each thread. */
const inputBytes = { int8: 24, wide: 32 }, roundBytes = 2048;
/** What attention leaves in the memory of rounds. */
const attentionRounds = 5;
/** Each kind of layers is code of its own; models that mix formats have two or three. */
const mostKinds = 8;

/** Everything that follows from the program and from where its weights lie. */
export interface Walk {
  /** By length of the context. */
  readonly kernels: Readonly<Record<"near" | "far", Kernel>>;
  readonly headDim: number;
  readonly mailBytes: number;
  readonly scales: GPUBuffer;
  readonly vectors: GPUBuffer;
  readonly weights: readonly GPUBuffer[];
  readonly caches: readonly GPUBuffer[];
  /** A `Layer` of persistent_layer.wgsl each. */
  readonly layerInfo: Uint32Array<ArrayBuffer>;
}

/** Threads of a workgroup of persistent_head.wgsl. */
const walkThreads = 512;

/** @returns The plan, or in words why the walk does not fit this program or device. */
export function planWalk(gpu: Gpu, program: Program, options: CompileOptions, memory: Memory, workgroups: number): Walk | string {
  if (!gpu.subgroups || !gpu.coherent) return `${gpu.name} does not grant subgroups and coherent storage`;
  if (gpu.subgroupSize !== 32) return `${gpu.name} has subgroups of ${gpu.subgroupSize}, not 32`;
  if (memory.workgroup.threads < walkThreads) return `workgroups have ${memory.workgroup.threads} threads, not ${walkThreads}`;
  if (workgroups === 0) return `how many multiprocessors ${gpu.name} has is not known`;
  if (options.cacheType === "f32") return "the KV cache is f32";
  const shift = Math.log2(options.blockSize);
  if (!Number.isInteger(shift)) return `the block size ${options.blockSize} is no power of two`;
  const steps = program.steps, count = program.caches.length;
  const layers = Array.from({ length: count }, (_, l) => steps.slice(1 + 6 * l, 7 + 6 * l));
  if (steps.length !== 3 + 6 * count || layers.some((layer) => layer.some(({ op }, i) => op !== layerOps[i]))) return "its steps are not those of the walk";
  const first = layers[0], { heads, kvHeads, headDim } = first[1].consts, hidden = (first[0].binds[0] as Buffer).cols;
  const intermediate = (first[4].binds[4] as Buffer).cols, vocab = program.logits.cols;
  if (layers.some((layer) => [layer[0].binds[3], layer[3].binds[2], layer[4].binds[3], layer[5].binds[2]].some((bias) => bias !== null))) {
    return "it has biases";
  }
  if (activations[first[4].consts.activation] !== "silu") return `its activation is ${activations[first[4].consts.activation]}`;
  if (headDim !== 128 || 16 % (heads / kvHeads) !== 0) return `its heads (${heads} of ${headDim}, ${kvHeads} KV heads) do not fit the walk`;
  if (hidden % 64 !== 0 || intermediate % 64 !== 0 || hidden / 16 > 160) return `its widths ${hidden} and ${intermediate} do not fit the walk`;
  const roundsOf = (groups: number) => Math.ceil(groups / workgroups);
  const rounds = Math.max(
    attentionRounds,
    roundsOf(hidden / 16),
    2 * roundsOf(intermediate / 32),
    roundsOf((heads + kvHeads) * headDim / 32) + roundsOf(kvHeads * headDim / 32),
  );
  if (Math.max(intermediate, heads * headDim) / 16 > mostSlots) return `it has inputs of ${Math.max(intermediate, heads * headDim)} values`;
  /** Into how many slices the context is cut when a workgroup looks after `together` query heads. */
  const slicesOf = (together: number) => Math.floor(workgroups * together / heads / 8) * 8;
  const together = [1, 2, 4, 8, 16].find((together) => slicesOf(together) > 0 && heads / kvHeads % together === 0);
  if (!together) return `it has ${heads} heads`;

  const part = (step: Step, bind: number, i = 0): PlacedPart => memory.weights.part((step.binds[bind] as Weight).parts[i].tensor);
  const table = part(steps[0], 0), head = part(steps.at(-1)!, 2);
  const matrices = layers.map(([qkv, , , o, gateUp, down]) => ({
    q: part(qkv, 2, 0),
    k: part(qkv, 2, 1),
    v: part(qkv, 2, 2),
    o: part(o, 1),
    gate: part(gateUp, 2, 0),
    up: part(gateUp, 2, 1),
    down: part(down, 1),
  }));
  const all = [table, ...matrices.flatMap((layer) => Object.values(layer)), head], [strange] = all.filter(({ format }) => !walkFormats[format]);
  if (strange) return `it has no part for ${strange.format}`;
  const meets = walkFormats[table.format]!.activations;
  if (all.some(({ format }) => walkFormats[format]!.activations !== meets)) return "some of its matrices are quantized and some are not";
  if (options.activations === "float32") return "activations are to be float32";
  if (meets === "int8" && options.activations !== "int8") return "quantized weights are to meet exact activations";
  const packed = new Set(all.map(({ format }) => format).filter(isFourBit)); // each brings a table and a rounding of its own
  if (packed.size > 1) return `it has weights of ${[...packed].join(" and ")}`;
  const room = Math.floor((memory.workgroup.bytes - mostSlots * inputBytes[meets] - 256) / roundBytes);
  if (rounds > room) return `its widths need ${rounds} rounds, the walk has room for ${room}`;
  if (all.some(({ chunks }) => chunks.length !== 1)) return "a matrix spans several bindings";
  if (memory.weights.scaleBuffers.length !== 1 || memory.weights.vectorBuffers.length !== 1) return "its scales or vectors span several bindings";

  const dataOf = ({ chunks }: PlacedPart) => chunks[0].data(), wordsAt = ({ chunks }: PlacedPart) => chunks[0].scales().offset / 4;
  const weights = [...new Set(all.map((matrix) => dataOf(matrix).buffer))];
  const sourceOf = (matrix: PlacedPart): Source => ({
    binding: weights.indexOf(dataOf(matrix).buffer),
    format: matrix.format,
    parts: walkFormats[matrix.format]!.parts,
  });
  const cacheOf = (l: number) => memory.cache(layers[l][1].binds[1] as Cache), caches = [...new Set(layers.map((_, l) => cacheOf(l).buffer))];
  const vector = (step: Step, bind: number) => memory.weights.vector(step.binds[bind] as Weight).offset / 4;
  const kinds = new Map<string, Kind>(), layerInfo: number[] = [];
  for (const [l, { q, k, v, o, gate, up, down }] of matrices.entries()) {
    if (!follows(q, k)) return `k of layer ${l} does not follow its q in memory`;
    if (gate.format !== up.format || dataOf(gate).buffer !== dataOf(up).buffer) return `gate and up of layer ${l} differ`;
    const places = Object.entries({ v, o, gate, up, down }).flatMap(([name, matrix]) => [
      [`${name}_at`, (dataOf(matrix).offset - dataOf(q).offset) / 16],
      [`${name}_words`, wordsAt(matrix) - wordsAt(q)],
    ]);
    const sources = { QK: sourceOf(q), V: sourceOf(v), O: sourceOf(o), GU: sourceOf(gate), D: sourceOf(down) };
    const kind: Kind = { sources, cache: caches.indexOf(cacheOf(l).buffer), places: Object.fromEntries(places) }, key = JSON.stringify(kind);
    if (!kinds.has(key)) kinds.set(key, kind);
    const { rope, window } = { ...layers[l][1].consts, ...layers[l][2].consts }, next = layers[l + 1]?.[0] ?? steps.at(-1)!;
    layerInfo.push(
      dataOf(q).offset / 16,
      wordsAt(q),
      cacheOf(l).offset / 16,
      window,
      rope,
      [...kinds.keys()].indexOf(key),
      vector(layers[l][4], 1),
      vector(next, 1),
    );
  }
  if (kinds.size > mostKinds) return `its layers lie in memory in ${kinds.size} ways`;

  const source = stampedSource([...kinds.values()], sourceOf(table), sourceOf(head), weights.length, caches.length);
  const kernel = (attention: string, together: number): Kernel => ({
    name: "persistent decode",
    parts: [
      "persistent",
      `persistent_${meets}`,
      ...(packed.size === 0 ? ["persistent_code_none"] : []),
      ...new Set(all.flatMap(({ format }) => walkFormats[format]!.parts)),
      "persistent_pairs",
      `persistent_cache_${options.cacheType}`,
      "persistent_sweep",
      "persistent_layer",
      attention,
      "persistent_combine",
      "persistent_head",
    ],
    access: `wrwwwrrrwr${"r".repeat(weights.length)}${"w".repeat(caches.length)}`,
    transform: source,
    constants: {
      workgroups,
      partials: rounds * roundBytes / 4,
      hidden,
      intermediate,
      heads,
      kv_heads: kvHeads,
      eps: first[0].consts.eps,
      block_shift: shift,
      value_plane: options.blocks * options.blockSize * kvHeads * headDim / 8,
      last_layer: count - 1,
      first_norm_at: vector(first[0], 1),
      table_at: dataOf(table).offset / 16,
      table_scale_at: wordsAt(table),
      head_at: dataOf(head).offset / 16,
      head_scale_at: wordsAt(head),
      vocab,
      together,
      context_slices: slicesOf(together),
      copies: inputCopies,
    },
  });
  const near = kernel("persistent_attention", together), far = heads === 4 * kvHeads && slicesOf(4) > 0 ? kernel("persistent_attention_far", 4) : near;
  const slots = Math.ceil((2 * hidden + heads * headDim + intermediate) / 16 / 32) * 32;
  const parts = heads * Math.max(near.constants.context_slices, far.constants.context_slices) * headDim;
  return {
    kernels: { near, far },
    headDim,
    mailBytes: 16 * (inputCopies * slots * (meets === "wide" ? 3 : 2) + (heads + 2 * kvHeads) * headDim / 2 + workgroups + parts),
    scales: memory.weights.scaleBuffers[0],
    vectors: memory.weights.vectorBuffers[0],
    weights,
    caches,
    layerInfo: Uint32Array.from(layerInfo),
  };
}

/** Whether the rows of `b` go on where those of `a` end. */
function follows(a: PlacedPart, b: PlacedPart): boolean {
  const [from, to] = [a.chunks[0], b.chunks[0]], adjoins = (x: Range, y: Range) => x.buffer === y.buffer && x.offset + x.size === y.offset;
  return a.format === b.format && a.rows % 32 === 0 && adjoins(from.data(), to.data()) &&
    (layouts[a.format].scaleBytes === 0 || adjoins(from.scales(), to.scales()));
}
