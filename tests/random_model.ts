/**
 * Small random models and batches for comparing backends with the oracle.
 *
 * @module
 */
import type { Batch } from "../engine/batch.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import { type Format, isFourBit, rowBytes, storageTypes } from "../engine/formats.ts";
import type { Program, Weight } from "../engine/program.ts";
import { fourBitBlock } from "./random_four_bit.ts";
import { kBlocks } from "./random_k_block.ts";

/** A configuration of 2 layers, hidden 64, unless overridden. */
export function randomConfig(overrides: Partial<SmolLM3Config> = {}): SmolLM3Config {
  const layers = overrides.numHiddenLayers ?? 2;
  return {
    modelType: "smollm3",
    architectures: ["SmolLM3ForCausalLM"],
    vocabSize: 99,
    hiddenSize: 64,
    intermediateSize: 96,
    numHiddenLayers: layers,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    headDim: 16,
    hiddenAct: "silu",
    maxPositionEmbeddings: 512,
    rmsNormEps: 1e-6,
    rope: { ropeType: "default", ropeTheta: 10000 },
    noRopeLayers: Array.from({ length: layers }, (_, i) => i % 4 === 1 ? 0 : 1),
    slidingWindows: Array.from({ length: layers }, () => 0),
    attentionBias: false,
    mlpBias: false,
    tieWordEmbeddings: true,
    bosTokenId: 1,
    eosTokenIds: [2],
    padTokenId: 0,
    dtype: "float32",
    ...overrides,
  };
}

/** Uniform numbers in [0, 1) (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const half = (bits: number) => {
  const sign = bits >> 15 ? -1 : 1, exponent = bits >> 10 & 31, mantissa = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + mantissa / 1024) : 2 ** -24 * mantissa);
};

/** Random bytes of `rows x cols` values in a format, with the values they stand for. */
export function randomWeight(format: Format, rows: number, cols: number, next: () => number, size = 0.3): { bytes: Uint8Array; values: Float32Array } {
  const stride = rowBytes(format, cols), bytes = new Uint8Array(rows * stride), view = new DataView(bytes.buffer), values = new Float32Array(rows * cols);
  const [perBlock, blockBytes] = storageTypes[format];
  for (let block = 0; block < rows * cols / perBlock; block++) {
    const at = block * blockBytes, out = values.subarray(block * perBlock, (block + 1) * perBlock);
    const scale = (offset: number, most: number) => {
      const bits = 0x0400 + Math.floor(next() * 0x3ff) + (Math.max(-1, Math.round(Math.log2(most) + 15 - 1)) << 10); // -1: a subnormal number
      view.setUint16(at + offset, bits, true);
      return half(bits);
    };
    if (format === "f32") view.setFloat32(at, out[0] = (next() - 0.5) * size, true);
    else if (format === "f16") {
      const bits = (next() < 0.5 ? 0x8000 : 0) | 0x2800 + Math.floor(next() * 0x800);
      view.setUint16(at, bits, true);
      out[0] = half(bits);
    } else if (format === "bf16") {
      const word = new Uint32Array(new Float32Array([(next() - 0.5) * size]).buffer)[0] & 0xffff0000;
      view.setUint16(at, word >>> 16, true);
      out[0] = new Float32Array(new Uint32Array([word]).buffer)[0];
    } else if (format === "q8_0") {
      const d = scale(0, size / 256);
      for (let i = 0; i < 32; i++) {
        const q = Math.floor(next() * 256) - 128;
        view.setInt8(at + 2 + i, q);
        out[i] = q * d;
      }
    } else if (format === "q4_0" || format === "q4_1") {
      const d = scale(0, size / 16), m = format === "q4_1" ? -scale(2, size / 2) : 0, data = at + (format === "q4_1" ? 4 : 2);
      if (format === "q4_1") view.setUint8(at + 3, view.getUint8(at + 3) | 0x80);
      for (let i = 0; i < 16; i++) {
        const byte = Math.floor(next() * 256);
        view.setUint8(data + i, byte);
        out[i] = Math.fround((format === "q4_1" ? byte & 15 : (byte & 15) - 8) * d + m);
        out[i + 16] = Math.fround((format === "q4_1" ? byte >> 4 : (byte >> 4) - 8) * d + m);
      }
    } else if (isFourBit(format)) fourBitBlock(format, view, at, next, size, out);
    else kBlocks[format](view, at, next, scale, size, out);
  }
  return { bytes, values };
}

/** Random weights of a whole program: bytes by tensor, values by weight. @param size Of the numbers of a matrix. */
export function randomWeights(program: Program, format: (weight: Weight, part: number) => Format, seed = 1, size = (_: Weight) => 0.3) {
  const next = random(seed), bytes = new Map<string, Uint8Array>(), values = new Map<Weight, Float32Array>(), formats = new Map<string, Format>();
  for (const weight of program.weights) {
    const all = new Float32Array(weight.rows * weight.cols);
    let at = 0;
    weight.parts.forEach((part, i) => {
      const vector = weight.rows === 1, kind = vector ? "f32" : format(weight, i);
      const made = randomWeight(kind, vector ? 1 : part.rows, vector ? part.rows : weight.cols, next, size(weight));
      if (vector && !part.tensor.endsWith(".bias")) {
        made.values.forEach((value, j) => made.values[j] = Math.fround(1 + value));
        made.bytes.set(new Uint8Array(made.values.buffer));
      }
      bytes.set(part.tensor, made.bytes);
      formats.set(part.tensor, kind);
      all.set(made.values, at);
      at += made.values.length;
    });
    values.set(weight, all);
  }
  return { bytes, values, formats };
}

/** A sequence of a batch: how many tokens it had before, how many this step brings. */
export interface RandomSequence {
  readonly past: number;
  readonly fresh: number;
}

/** A batch of sequences whose blocks are shuffled; logits of every row are wanted unless `outputs` says otherwise. */
export function randomBatch(
  config: SmolLM3Config,
  sequences: readonly RandomSequence[],
  options: { blockSize: number; blocks: number; seed?: number; outputs?: readonly number[] },
): Batch {
  const { blockSize } = options, next = random(options.seed ?? 7), rows = sequences.reduce((sum, { fresh }) => sum + fresh, 0);
  const free = Array.from({ length: options.blocks }, (_, i) => i);
  for (let i = free.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [free[i], free[j]] = [free[j], free[i]];
  }
  const lengths = sequences.map(({ past, fresh }) => past + fresh), tables = lengths.map((length) => free.splice(0, Math.ceil(length / blockSize)));
  const blocksPerSequence = Math.max(...tables.map(({ length }) => length));
  const tokens = Uint32Array.from({ length: rows }, () => Math.floor(next() * config.vocabSize));
  const rope = new Float32Array(rows * config.headDim), slots = new Uint32Array(rows), queryStarts = new Uint32Array(sequences.length + 1);
  let row = 0;
  sequences.forEach(({ past, fresh }, s) => {
    for (let position = past; position < past + fresh; position++, row++) {
      slots[row] = tables[s][Math.floor(position / blockSize)] * blockSize + position % blockSize;
      for (let i = 0; i < config.headDim / 2; i++) {
        const angle = position * config.rope.ropeTheta ** (-2 * i / config.headDim);
        rope[row * config.headDim + i] = Math.cos(angle);
        rope[row * config.headDim + config.headDim / 2 + i] = Math.sin(angle);
      }
    }
    queryStarts[s + 1] = row;
  });
  const blockTables = new Uint32Array(sequences.length * blocksPerSequence);
  tables.forEach((table, s) => blockTables.set(table, s * blocksPerSequence));
  const outputRows = Uint32Array.from(options.outputs ?? Array.from({ length: rows }, (_, i) => i));
  return { tokens, rope, slots, queryStarts, contextLengths: Uint32Array.from(lengths), blockTables, blocksPerSequence, outputRows };
}
