/**
 * Random models, batches and ways to draw, all of them following from a seed: more of them than anybody would write down.
 *
 * @module
 */
import type { CacheType, CompileOptions, RowSampling } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { RopeParameters, SmolLM3Config } from "../engine/config.ts";
import { type Format, storageTypes } from "../engine/formats.ts";
import { activations, type Program, type Weight } from "../engine/program.ts";
import type { RopeTable } from "../engine/rope.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { random, randomConfig, randomWeights } from "./random_model.ts";

/** Random choices. */
export class Dice {
  readonly next: () => number;
  constructor(seed: number) {
    this.next = random(seed);
  }
  /** A whole number of `least` to `most`. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)];
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
  shuffled<T>(list: readonly T[]): T[] {
    const all = [...list];
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [all[i], all[j]] = [all[j], all[i]];
    }
    return all;
  }
}

/** A model with the sizes that it is compiled for. */
export interface ModelCase {
  readonly config: SmolLM3Config;
  readonly program: Program;
  readonly weights: ReturnType<typeof randomWeights>;
  readonly options: CompileOptions;
}

/** Random RoPE of any type, whose context ends soon. */
export function drawRope(dice: Dice, headDim: number): Pick<SmolLM3Config, "rope" | "maxPositionEmbeddings"> {
  const ropeTheta = dice.pick([100, 10_000, 500_000, 5_000_000]), original = dice.int(4, 64), factor = dice.pick([1, 1.5, 2, 4, 7.3]);
  const maxPositionEmbeddings = Math.ceil(original * factor), base = { ropeTheta, factor, originalMaxPositionEmbeddings: original };
  const ropes: [RopeParameters, number][] = [
    [{ ropeType: "default", ropeTheta }, 512],
    [{ ropeType: "linear", ropeTheta, factor }, 512],
    [{ ropeType: "dynamic", ropeTheta, factor }, original],
    [{
      ...base,
      ropeType: "yarn",
      ...dice.chance(0.5) && { betaFast: dice.pick([8, 16, 32]), betaSlow: dice.pick([0.5, 1, 2]) },
      ...dice.chance(0.3) && { attentionFactor: 0.5 + dice.next() },
      ...dice.chance(0.3) && { mscale: 0.5 + dice.next(), mscaleAllDim: 0.5 + dice.next() },
      truncate: dice.chance(0.7),
    }, maxPositionEmbeddings],
    [{ ...base, ropeType: "llama3", lowFreqFactor: 1, highFreqFactor: dice.pick([2, 4]) }, maxPositionEmbeddings],
    [{
      ...base,
      ropeType: "longrope",
      shortFactor: Array.from({ length: headDim / 2 }, () => 1 + dice.next() / 4),
      longFactor: Array.from({ length: headDim / 2 }, () => 1 + 4 * dice.next()),
    }, maxPositionEmbeddings],
  ];
  const [rope, maxPosition] = dice.pick(ropes);
  return { rope, maxPositionEmbeddings: maxPosition };
}

/** A random configuration whose matrices can be stored in blocks of `block` values. */
export function drawConfig(dice: Dice, block: number): SmolLM3Config {
  const group = dice.pick([1, 1, 2, 3, 4, 5, 6, 8]), numKeyValueHeads = dice.int(1, group > 4 ? 2 : 4), numAttentionHeads = group * numKeyValueHeads;
  const numHiddenLayers = dice.int(1, 4), most = block === 256 ? 3 : block === 64 ? 7 : block === 32 ? 14 : 400;
  const heads = [2, 6, 8, 10, 16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 128, 136, 192, 256].filter((size) =>
    numAttentionHeads * size % block === 0 && numAttentionHeads * size <= 2048
  );
  const headDim = heads.length > 0 ? dice.pick(heads) : block, width = () => block * (dice.chance(0.6) ? dice.int(1, most) : dice.int(1, Math.ceil(most / 3)));
  const window = dice.int(1, 40);
  return randomConfig({
    vocabSize: dice.pick([dice.int(3, 40), dice.int(41, 300), 32 * dice.int(1, 9), dice.int(300, 1300)]),
    hiddenSize: width(),
    intermediateSize: width(),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    hiddenAct: dice.chance(0.7) ? "silu" : dice.pick(activations),
    ...drawRope(dice, headDim),
    rmsNormEps: dice.pick([1e-6, 1e-5, 1e-3]),
    noRopeLayers: Array.from({ length: numHiddenLayers }, () => dice.chance(0.7) ? 1 : 0),
    slidingWindows: Array.from({ length: numHiddenLayers }, () => dice.chance(0.25) ? window : 0),
    attentionBias: dice.chance(0.3),
    mlpBias: dice.chance(0.3),
    tieWordEmbeddings: dice.chance(0.5),
  });
}

const all: Format[] = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q4_k", "q5_k", "q6_k"];
const fourBit: Format[] = ["nf4", "nf4_bf16", "nf4_f16", "fp4", "fp4_bf16", "fp4_f16"];

/** So that wide models are no more sensitive than narrow ones. */
const sizeOf = ({ cols }: Weight) => Math.min(0.3, 3 / Math.sqrt(cols));

/** Models of shapes that the persistent walk takes. */
function drawWalkModel(dice: Dice): ModelCase {
  const numKeyValueHeads = dice.int(1, 4), numAttentionHeads = numKeyValueHeads * dice.pick([1, 2, 4, 8]), hiddenSize = 256 * dice.int(1, 4);
  const config = randomConfig({
    ...{ hiddenSize, intermediateSize: 256 * dice.int(1, 6), numAttentionHeads, numKeyValueHeads, headDim: 128, vocabSize: 32 * dice.int(2, 20) },
    ...{ numHiddenLayers: dice.int(1, 3), tieWordEmbeddings: dice.chance(0.5), ...drawRope(dice, 128) },
  });
  const { numHiddenLayers } = config, window = dice.int(1, 100);
  const whole = { ...config, slidingWindows: Array.from({ length: numHiddenLayers }, () => dice.chance(0.25) ? window : 0) };
  const wide: Format[] = numAttentionHeads % 2 === 0 ? ["q4_k", "q5_k", "q6_k"] : [], program = smolLM3(whole);
  const format = dice.pick<Format>(["f16", "bf16", "q8_0", "q4_0", "q4_1", ...wide, "nf4", "nf4_bf16", "fp4_f16"]);
  const more = dice.pick([/^$/, /embed|head/, /embed|v_proj|down/]), isQuantized = /^q/.test(format);
  const weights = randomWeights(program, ({ parts }, i) => isQuantized && more.test(parts[i].tensor) ? "q6_k" : format, dice.int(1, 2 ** 30), sizeOf);
  const blockSize = 2 ** dice.int(0, 6),
    maxContext = dice.pick([dice.int(20, 60), dice.int(100, 420)]),
    maxRows = dice.int(4, 40),
    maxSequences = dice.int(1, 3);
  const options = {
    ...{ maxRows, maxSequences, maxOutputs: dice.int(maxSequences, maxRows), maxContext, blockSize, blocks: Math.ceil(maxContext / blockSize) * maxSequences },
    ...{ cacheType: dice.pick(["f16", "bf16"] as const), activations: "int8" as const, formats: weights.formats, threads: 1 },
  };
  return { config: whole, program, weights, options };
}

/** A model, its random weights and sizes, of a seed. */
export function drawModel(dice: Dice): ModelCase {
  if (dice.chance(0.2)) return drawWalkModel(dice);
  const format = dice.chance(0.2) ? dice.pick(fourBit) : dice.pick(all), block: number = storageTypes[format][0], config = drawConfig(dice, block);
  const program = smolLM3(config), others = [...all, ...fourBit].filter((other) => storageTypes[other][0] <= block), isMixed = dice.chance(0.3);
  // Now and then each tensor has a format of its own, or only the table and the head, or only some layers' down and v as llama.cpp does.
  const some = dice.pick(others), which = dice.pick([() => true, (name: string) => /embed|head/.test(name), (name: string) => /down|v_proj/.test(name)]);
  const isEach = dice.chance(0.4);
  const formatOf = (weight: Weight, part: number): Format => {
    if (!isMixed || !which(weight.parts[part].tensor)) return format;
    return isEach ? dice.pick(others) : some;
  };
  const weights = randomWeights(program, formatOf, dice.int(1, 2 ** 30), sizeOf);
  const maxRows = dice.pick([dice.int(1, 8), dice.int(1, 40), dice.int(90, 140)]), maxSequences = dice.int(1, Math.min(9, maxRows));
  const blockSize = dice.pick([1, 2, 3, 4, 8, 16, 16, 24, 32, 64]), maxContext = dice.pick([dice.int(4, 60), dice.int(60, 180), dice.int(300, 420)]);
  const maxOutputs = dice.int(maxSequences, maxRows), blocks = Math.ceil(maxContext / blockSize) * maxSequences + dice.int(0, 3);
  const cacheType = dice.pick<CacheType>(["f32", "f32", "f16", "bf16"]), activations = dice.chance(0.4) ? "int8" : "float32";
  const options = { maxRows, maxOutputs, maxSequences, maxContext, blockSize, blocks, cacheType, activations, formats: weights.formats, threads: 1 } as const;
  return { config, program, weights, options };
}

/** A sequence of the schedule. */
export interface FuzzSequence {
  readonly tokens: number[];
  readonly blocks: readonly number[];
  computed: number;
}

/** Sequences on shuffled blocks of their own. */
export function drawSequences(dice: Dice, { config, options }: ModelCase): FuzzSequence[] {
  const { blocks, blockSize, maxContext, maxSequences } = options, free = dice.shuffled(Array.from({ length: blocks }, (_, i) => i));
  return Array.from({ length: dice.int(1, maxSequences) }, () => {
    const length = dice.int(1, maxContext);
    return {
      tokens: Array.from({ length }, () => dice.int(0, config.vocabSize - 1)),
      blocks: free.splice(0, Math.ceil(maxContext / blockSize)),
      computed: 0,
    };
  });
}

/** The next rows of some sequences: `fresh` of each. */
export function batchOf(rope: RopeTable, blockSize: number, parts: readonly { sequence: FuzzSequence; fresh: number }[], outputRows: readonly number[]): Batch {
  const rows = parts.reduce((sum, { fresh }) => sum + fresh, 0), width = Math.max(...parts.map(({ sequence }) => sequence.blocks.length));
  const tokens = new Uint32Array(rows), slots = new Uint32Array(rows), angles = new Float32Array(rows * rope.headDim), queryStarts = [0];
  const blockTables = new Uint32Array(parts.length * width);
  let row = 0;
  parts.forEach(({ sequence, fresh }, s) => {
    blockTables.set(sequence.blocks, s * width);
    for (let at = sequence.computed; at < sequence.computed + fresh; at++, row++) {
      tokens[row] = sequence.tokens[at];
      slots[row] = sequence.blocks[Math.floor(at / blockSize)] * blockSize + at % blockSize;
      rope.fill(angles, row, at, at + 1);
    }
    queryStarts.push(row);
  });
  return {
    tokens,
    rope: angles,
    slots,
    queryStarts: Uint32Array.from(queryStarts),
    contextLengths: Uint32Array.from(parts, ({ sequence, fresh }) => sequence.computed + fresh),
    blockTables,
    blocksPerSequence: width,
    outputRows: Uint32Array.from(outputRows),
  };
}

/** A batch, and whose row each output is. */
export interface FuzzBatch {
  readonly batch: Batch;
  /** `[outputs]` "sequence:position" of each. */
  readonly keys: readonly string[];
}

/** Batches until every sequence is computed or there have been enough; `computed` of sequences grows with them. */
export function* drawBatches(dice: Dice, options: CompileOptions, rope: RopeTable, sequences: readonly FuzzSequence[], most: number): Generator<FuzzBatch> {
  const { maxRows, maxOutputs, blockSize } = options;
  for (let i = 0; i < most; i++) {
    let left = dice.chance(0.3) ? dice.int(1, maxRows) : maxRows;
    const parts: { sequence: FuzzSequence; fresh: number }[] = [], keys: string[] = [];
    for (const sequence of dice.shuffled(sequences)) {
      const missing = sequence.tokens.length - sequence.computed;
      if (missing === 0 || left === 0 || parts.length > 0 && dice.chance(0.15)) continue;
      const fresh = Math.min(left, missing, dice.pick([1, dice.int(1, 6), missing]));
      parts.push({ sequence, fresh });
      left -= fresh;
      for (let j = 0; j < fresh; j++) keys.push(`${sequences.indexOf(sequence)}:${sequence.computed + j}`);
    }
    if (parts.length === 0) return;
    const rows = dice.shuffled(keys.map((_, row) => row)).slice(0, dice.int(dice.chance(0.1) ? 0 : 1, Math.min(keys.length, maxOutputs))).sort((a, b) => a - b);
    yield { batch: batchOf(rope, blockSize, parts, rows), keys: rows.map((row) => keys[row]) };
    for (const { sequence, fresh } of parts) sequence.computed += fresh;
  }
}

/** Ways to draw: greedy, and everything that changes what is drawn. */
export function drawSampling(dice: Dice, vocabSize: number, promptTokenIds: readonly number[]): RowSampling {
  const some = <T>(value: T, otherwise: T) => dice.chance(0.4) ? value : otherwise;
  const penalties = {
    repetitionPenalty: some(0.7 + dice.next(), 1),
    frequencyPenalty: some(dice.next() - 0.3, 0),
    presencePenalty: some(dice.next() - 0.3, 0),
    promptTokenIds,
    outputTokenIds: [],
    logitBias: dice.chance(0.3) ? new Map(Array.from({ length: dice.int(1, 9) }, () => [dice.int(0, vocabSize - 1), 6 * dice.next() - 3])) : undefined,
  };
  return {
    temperature: some(0, 0.3 + 1.5 * dice.next()),
    topK: some(dice.int(1, 60), 0),
    topP: some(0.05 + 0.95 * dice.next(), 1),
    minP: some(dice.next() / 3, 0),
    seed: BigInt(dice.int(0, 2 ** 30)),
    position: dice.int(0, 500),
    penalties: dice.chance(0.5) ? penalties : undefined,
  };
}

/** The case in a line. */
export function describe({ config, options, weights }: ModelCase): string {
  const formats = [...new Set(weights.formats.values())].join("+"), { rope, numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = config;
  return [
    `${config.numHiddenLayers} layers`,
    `hidden ${config.hiddenSize}`,
    `intermediate ${config.intermediateSize}`,
    `heads ${heads}/${kvHeads} of ${headDim}`,
    `vocab ${config.vocabSize}${config.tieWordEmbeddings ? " tied" : ""}`,
    config.hiddenAct,
    rope.ropeType,
    `windows ${config.slidingWindows.join()}`,
    `biases ${Number(config.attentionBias)}${Number(config.mlpBias)}`,
    formats,
    `${options.activations} activations`,
    `${options.cacheType} cache`,
    `blocks of ${options.blockSize}`,
    `rows ${options.maxRows}`,
    `sequences ${options.maxSequences}`,
    `context ${options.maxContext}`,
  ].join(", ");
}
