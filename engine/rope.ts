/**
 * Rotary position embeddings, computed on the host for every backend.
 *
 * Source: modeling_rope_utils.py of Transformers 5 (an explicit `factor` counts; 4.53 to 4.57 replaced YaRN's by the ratio of the lengths).
 * Frequencies are computed in f64; then, like there, frequency, angle, cos and sin are each rounded to float32.
 *
 * @module
 */
import type { RopeParameters, SmolLM3Config } from "./config.ts";

/** What RoPE depends on. */
export type RopeConfig = Pick<SmolLM3Config, "rope" | "headDim" | "maxPositionEmbeddings">;

/** Rows of cos and sin that are computed and kept together. */
const blockRows = 256;

/** Inverse frequencies with the rows made from them so far. */
interface Frequencies {
  /** `[headDim / 2]`, float32. */
  readonly inverse: Float32Array;
  /** Blocks of `[blockRows, headDim]`, by their number; null where the next step has other frequencies. */
  readonly blocks: Map<number, Float32Array> | null;
}

/**
 * Cos and sin of every position.
 *
 * The types `dynamic` and `longrope` depend on the length of the sequence: each request has the frequencies of its own length, back to the
 * original ones below the original length, whatever else is in the batch.
 */
export class RopeTable {
  readonly headDim: number;
  /** What cos and sin are multiplied by. */
  readonly attentionFactor: number;
  readonly #config: RopeConfig;
  /** By the length they are made for: see {@link RopeTable.#lengthKey}. */
  readonly #frequencies = new Map<number, Frequencies>();

  constructor(config: RopeConfig) {
    this.#config = config;
    this.headDim = config.headDim;
    this.attentionFactor = attentionFactor(config.rope);
  }

  /**
   * Writes `headDim / 2` cosines, then as many sines, both times the attention factor.
   *
   * @param out `[rows, headDim]`, as {@link Batch.rope}.
   * @param row Row of `out` to fill.
   * @param position Position of the token.
   * @param sequenceLength Tokens of its request at this step, prompt and answer, also those of the prompt that later steps compute.
   */
  fill(out: Float32Array, row: number, position: number, sequenceLength: number): void {
    const { inverse, blocks } = this.#at(sequenceLength), { headDim } = this;
    if (blocks === null) return this.#compute(inverse, position, out, row * headDim);
    const number = Math.floor(position / blockRows), start = (position % blockRows) * headDim;
    let block = blocks.get(number);
    if (block === undefined) {
      block = new Float32Array(blockRows * headDim);
      for (let i = 0; i < blockRows; i++) this.#compute(inverse, number * blockRows + i, block, i * headDim);
      blocks.set(number, block);
    }
    out.set(block.subarray(start, start + headDim), row * headDim);
  }

  /** Inverse frequencies of a sequence of that many tokens, `[headDim / 2]` in float32. */
  inverseFrequencies(sequenceLength: number): Float32Array {
    return this.#at(sequenceLength).inverse;
  }

  #at(sequenceLength: number): Frequencies {
    const key = this.#lengthKey(sequenceLength);
    let frequencies = this.#frequencies.get(key);
    if (frequencies === undefined) {
      // Of the lengths past the original one only the latest is kept: a sequence that grows leaves each behind.
      if (this.#config.rope.ropeType === "dynamic") { for (const old of this.#frequencies.keys()) if (old > 0) this.#frequencies.delete(old); }
      frequencies = { inverse: Float32Array.from(inverseFrequencies(this.#config, sequenceLength)), blocks: new Map() };
      this.#frequencies.set(key, frequencies);
    }
    return frequencies;
  }

  /** Equal for lengths that share their frequencies; 0 up to the original length. */
  #lengthKey(sequenceLength: number): number {
    const { rope, maxPositionEmbeddings } = this.#config;
    if (rope.ropeType === "dynamic") return sequenceLength > maxPositionEmbeddings ? sequenceLength : 0;
    if (rope.ropeType === "longrope") return sequenceLength > rope.originalMaxPositionEmbeddings! ? 1 : 0;
    return 0;
  }

  #compute(inverse: Float32Array, position: number, out: Float32Array, offset: number): void {
    const half = this.headDim / 2;
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(inverse[i] * position);
      out[offset + i] = Math.fround(Math.cos(angle)) * this.attentionFactor;
      out[offset + half + i] = Math.fround(Math.sin(angle)) * this.attentionFactor;
    }
  }
}

/** The factor of cos and sin: given, or computed from the scaling factor (YaRN and LongRoPE), or 1. */
export function attentionFactor(rope: RopeParameters): number {
  if (rope.attentionFactor !== undefined) return rope.attentionFactor;
  const factor = rope.factor ?? 1;
  if (factor <= 1) return 1;
  if (rope.ropeType === "longrope") return Math.sqrt(1 + Math.log(factor) / Math.log(rope.originalMaxPositionEmbeddings!));
  if (rope.ropeType !== "yarn") return 1;
  const scale = (mscale: number) => 0.1 * mscale * Math.log(factor) + 1;
  return rope.mscale && rope.mscaleAllDim ? scale(rope.mscale) / scale(rope.mscaleAllDim) : scale(1);
}

/** Inverse frequencies in f64, `[headDim / 2]`, for a sequence of that many tokens. */
export function inverseFrequencies(config: RopeConfig, sequenceLength: number): Float64Array {
  const { rope, headDim: dim } = config, plain = powers(rope.ropeTheta, dim);
  const scaled = scale(config, plain, sequenceLength), { freqFactors } = rope;
  return freqFactors === undefined ? scaled : scaled.map((inverse, i) => inverse / freqFactors[i]);
}

/** theta^(-2i / dim). */
function powers(theta: number, dim: number): Float64Array {
  return Float64Array.from({ length: dim / 2 }, (_, i) => 1 / theta ** (2 * i / dim));
}

function scale({ rope, headDim: dim, maxPositionEmbeddings }: RopeConfig, plain: Float64Array, sequenceLength: number): Float64Array {
  const factor = rope.factor ?? 1;
  switch (rope.ropeType) {
    case "default":
      return plain;
    case "linear":
      return plain.map((inverse) => inverse / factor);
    case "dynamic": {
      const length = Math.max(sequenceLength, maxPositionEmbeddings);
      return powers(rope.ropeTheta * (factor * length / maxPositionEmbeddings - (factor - 1)) ** (dim / (dim - 2)), dim);
    }
    case "yarn": {
      const [low, high] = yarnRange(rope, dim);
      return plain.map((inverse, i) => {
        const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
        return inverse / factor * ramp + inverse * (1 - ramp);
      });
    }
    case "longrope": {
      const factors = sequenceLength > rope.originalMaxPositionEmbeddings! ? rope.longFactor! : rope.shortFactor!;
      return plain.map((inverse, i) => inverse / factors[i]);
    }
    case "llama3": {
      const original = rope.originalMaxPositionEmbeddings!, low = rope.lowFreqFactor!, high = rope.highFreqFactor!;
      return plain.map((inverse) => {
        const turns = original * inverse / (2 * Math.PI);
        if (turns > high) return inverse;
        if (turns < low) return inverse / factor;
        const smooth = (turns - low) / (high - low);
        return (1 - smooth) * inverse / factor + smooth * inverse;
      });
    }
  }
}

/** YaRN's first and last frequency between extrapolation (before) and interpolation (after). */
export function yarnRange(rope: RopeParameters, dim: number): [low: number, high: number] {
  const frequencyOf = (turns: number) => dim * Math.log(rope.originalMaxPositionEmbeddings! / (turns * 2 * Math.PI)) / (2 * Math.log(rope.ropeTheta));
  let low = frequencyOf(rope.betaFast ?? 32), high = frequencyOf(rope.betaSlow ?? 1);
  if (rope.truncate ?? true) low = Math.floor(low), high = Math.ceil(high);
  low = Math.max(low, 0), high = Math.min(high, dim - 1);
  return low === high ? [low, high + 0.001] : [low, high];
}
