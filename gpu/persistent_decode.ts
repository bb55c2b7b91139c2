/**
 * Decoding one sequence with a whole token in one dispatch, several tokens a submit: the ids come back in one read.
 *
 * The kernel walks the same program as everything else: its dimensions, offsets and norms are read from the steps, and a program that is not of the shape it
 * knows is refused with the reason, so that the dispatch-per-step path takes it.
 *
 * @module
 */
import { type CompileOptions, type DecodeRequest, DeviceError } from "../engine/backend.ts";
import { activations, type Buffer, type Cache, type Program, type Step, type Weight } from "../engine/program.ts";
import type { Range } from "./arena.ts";
import type { Gpu } from "./device.ts";
import type { Memory } from "./lower.ts";
import type { CompiledKernel, Kernel, Pipelines } from "./pipelines.ts";
import { Readback } from "./readback.ts";
import { type GpuFormat, layouts, type PlacedPart } from "./weights.ts";

/** Weight formats with a part of their own. */
const formats: Partial<Record<GpuFormat, string[]>> = {
  q4_0: ["persistent_int8", "persistent_q4_0", "persistent_ahead_2"],
  q8_0: ["persistent_int8", "persistent_q8_0", "persistent_ahead_2"],
  bf16: ["persistent_wide", "persistent_bf16", "persistent_ahead_1"],
};

/** Layers whose weights share a binding and whose caches do. */
interface Segment {
  readonly first: number;
  count: number;
  readonly weights: GPUBuffer;
  readonly cache: GPUBuffer;
  /** Where the first layer begins: units of 16 bytes, words of scales, units of 16 bytes of its cache. */
  readonly at: readonly [number, number, number];
}

/** Steps of a layer in the order in which the model emits them. */
const layerOps = ["normLinear", "ropeStore", "attention", "linearAdd", "normGatedLinear", "linearAdd"];

/** Most tokens of one submit. */
export const maxSteps = 64;

/** The compiled walk. */
export class PersistentDecode {
  readonly #device: GPUDevice;
  readonly #compiled: CompiledKernel;
  readonly #group: GPUBindGroup;
  readonly #workgroups: number;
  readonly #own: Record<"state" | "made" | "angles" | "blockTable", GPUBuffer>;
  readonly #buffers: readonly GPUBuffer[];
  readonly #readback: Readback;

  private constructor(
    device: GPUDevice,
    compiled: CompiledKernel,
    group: GPUBindGroup,
    workgroups: number,
    own: Record<"state" | "made" | "angles" | "blockTable", GPUBuffer>,
    buffers: readonly GPUBuffer[],
    readback: Readback,
  ) {
    this.#device = device;
    this.#compiled = compiled;
    this.#group = group;
    this.#workgroups = workgroups;
    this.#own = own;
    this.#buffers = buffers;
    this.#readback = readback;
  }

  /** @returns The walk, or in words why this program or device cannot have it. */
  static async create(
    gpu: Gpu,
    program: Program,
    options: CompileOptions,
    memory: Memory,
    pipelines: Pipelines,
    workgroups: number,
  ): Promise<PersistentDecode | string> {
    const { device } = gpu;
    const plan = planWalk(gpu, program, options, memory, workgroups);
    if (typeof plan === "string") return plan;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const storage = (label: string, bytes: number) => device.createBuffer({ label, size: Math.max(16, bytes), usage });
    const own = {
      state: storage("state", 16),
      made: storage("made", maxSteps * 4),
      angles: storage("angles", maxSteps * plan.headDim * 4),
      blockTable: storage("block table", Math.ceil(options.maxContext / options.blockSize) * 4 + 4),
    };
    const act = storage("act", plan.slots * 32 + workgroups * 16), actScales = storage("act scales", plan.slots * 8);
    const floats = storage("floats", plan.floats * 4), counters = storage("counters", 256), layerInfo = storage("layers", plan.layerInfo.byteLength);
    device.queue.writeBuffer(layerInfo, 0, plan.layerInfo);
    const compiled = await pipelines.get(plan.kernel);
    const resources = [
      own.state,
      plan.scales,
      act,
      actScales,
      floats,
      counters,
      memory.buffer(program.logits),
      plan.vectors,
      own.angles,
      own.blockTable,
      own.made,
      layerInfo,
      ...plan.weights,
      ...plan.caches,
    ];
    const group = device.createBindGroup({ layout: compiled.layout, entries: resources.map((buffer, binding) => ({ binding, resource: { buffer } })) });
    const readback = await Readback.create(device, 16 + maxSteps * 4);
    return new PersistentDecode(device, compiled, group, workgroups, own, [act, actScales, floats, counters, layerInfo], readback);
  }

  /**
   * Makes `steps` tokens greedily; each one's K and V are in the cache but for the last one's.
   *
   * @returns Their ids.
   * @throws {DeviceError} when not all workgroups were resident.
   */
  async decode(request: DecodeRequest): Promise<Uint32Array> {
    const { queue } = this.#device, { state, made, angles, blockTable } = this.#own, bytes = request.steps * 4;
    queue.writeBuffer(state, 0, new Uint32Array([request.token, request.position, 0, 0]));
    queue.writeBuffer(angles, 0, request.rope as Float32Array<ArrayBuffer>);
    queue.writeBuffer(blockTable, 0, request.blockTable as Uint32Array<ArrayBuffer>);
    const encoder = this.#device.createCommandEncoder(), pass = encoder.beginComputePass();
    pass.setPipeline(this.#compiled.pipeline);
    pass.setBindGroup(0, this.#group);
    for (let step = 0; step < request.steps; step++) pass.dispatchWorkgroups(this.#workgroups);
    pass.end();
    this.#readback.record(encoder, state, 0, 16);
    this.#readback.record(encoder, made, 0, bytes, 16);
    queue.submit([encoder.finish()]);
    const words = new Uint32Array(await this.#readback.read(16 + bytes));
    if (words[3] !== 0) throw new DeviceError(`The GPU did not keep ${this.#workgroups} workgroups resident; decode with one dispatch a step instead`);
    return words.subarray(4);
  }

  destroy(): void {
    for (const buffer of [...Object.values(this.#own), ...this.#buffers]) buffer.destroy();
    this.#readback.destroy();
  }
}

/** Everything that follows from the program and from where its weights lie. */
interface Walk {
  readonly kernel: Kernel;
  readonly headDim: number;
  readonly slots: number;
  readonly floats: number;
  readonly scales: GPUBuffer;
  readonly vectors: GPUBuffer;
  readonly weights: readonly GPUBuffer[];
  readonly caches: readonly GPUBuffer[];
  readonly layerInfo: Uint32Array<ArrayBuffer>;
}

function planWalk(gpu: Gpu, program: Program, options: CompileOptions, memory: Memory, workgroups: number): Walk | string {
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
  if (kvHeads > workgroups || kvHeads > 48) return `it has ${kvHeads} KV heads`;
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
    maxSlices = Math.floor(workgroups / kvHeads);
  const source = stampedSource(segments, weights, caches, table.chunks[0].data().buffer, head.chunks[0].data().buffer);
  const kernel: Kernel = {
    name: "persistent decode",
    parts: [
      "persistent",
      ...parts,
      "persistent_pairs",
      `persistent_cache_${options.cacheType}`,
      "persistent_sweep",
      "persistent_layer",
      "persistent_attention",
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
      max_slices: maxSlices,
      table_at: tableAt,
      table_scale_at: tableScaleAt,
      head_at: headAt,
      head_scale_at: headScaleAt,
      vocab,
    },
  };
  return {
    kernel,
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

/** Repeats what ends in `_W` for each segment (and for the table and the head) and adds bindings and `main`. */
function stampedSource(segments: readonly Segment[], weights: readonly GPUBuffer[], caches: readonly GPUBuffer[], table: GPUBuffer, head: GPUBuffer) {
  const stamps = segments.map((segment, i) => ({ suffix: `_s${i}`, weights: weights.indexOf(segment.weights), cache: caches.indexOf(segment.cache) }));
  return (sources: ReadonlyMap<string, string>): string => {
    const stamp = (text: string, suffix: string, weight: number, cache: number) =>
      text.replaceAll("weights_W", `weights_${weight}`).replaceAll("cache_W", `cache_${cache}`).replaceAll("_W", suffix);
    const once: string[] = [], out: string[] = [];
    for (const [name, text] of sources) {
      const { plain, stamped } = splitFunctions(text);
      once.push(`// ${name}.wgsl\n${plain}`);
      for (const { suffix, weights: weight, cache } of stamps) out.push(stamp(stamped.join("\n"), suffix, weight, cache));
    }
    const ends = (buffer: GPUBuffer, suffix: string) => {
      const weight = weights.indexOf(buffer), same = stamps.find((entry) => entry.weights === weight);
      if (same) return same.suffix;
      for (const text of sources.values()) {
        const wanted = splitFunctions(text).stamped.filter((code) => !code.includes("cache_W") && !code.includes("fn layers_W"));
        out.push(stamp(wanted.join("\n"), suffix, weight, 0));
      }
      return suffix;
    };
    const begin = ends(table, "_t"), last = ends(head, "_h");
    const bindings = [
      ...weights.map((_, i) => `@group(0) @binding(${12 + i}) var<storage, read> weights_${i}: array<vec4<u32>>;`),
      ...caches.map((_, i) => `@group(0) @binding(${12 + weights.length + i}) @coherent var<storage, read_write> cache_${i}: array<vec4<u32>>;`),
    ];
    const calls = segments.map((segment, i) => `  layers_s${i}(${segment.first}u, ${segment.count}u, ${segment.at.map((at) => `${at}u`).join(", ")});`);
    const main = `@compute @workgroup_size(512)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  wg = group.x;
  thread = index;
  lane = index & 31u;
  slice = index >> 5u;
  phase = 0u;
  begin${begin}();
${calls.join("\n")}
  head${last}();
}`;
    return [...bindings, ...once, ...out, main].join("\n");
  };
}

/** Tells the functions whose names end in `_W` from everything else. */
function splitFunctions(text: string): { plain: string; stamped: string[] } {
  const stamped: string[] = [];
  const plain = text.replace(/^fn \w+_W\((?:.*\}$|[\s\S]*?^\}$)/gm, (code) => {
    stamped.push(code);
    return "";
  });
  return { plain, stamped };
}
