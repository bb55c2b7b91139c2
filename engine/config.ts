/**
 * The model configuration, as the rest of the engine sees it: every value present, checked and in one form.
 *
 * @module
 */
import type { Activation } from "./program.ts";

/** RoPE parameters in the v5 form of Transformers (`rope_parameters`), keys in camelCase, values unchanged. */
export interface RopeParameters {
  readonly ropeType: "default" | "linear" | "dynamic" | "yarn" | "longrope" | "llama3";
  readonly ropeTheta: number;
  readonly factor?: number;
  readonly originalMaxPositionEmbeddings?: number;
  readonly attentionFactor?: number;
  readonly betaFast?: number;
  readonly betaSlow?: number;
  readonly mscale?: number;
  readonly mscaleAllDim?: number;
  readonly truncate?: boolean;
  readonly shortFactor?: readonly number[];
  readonly longFactor?: readonly number[];
  readonly lowFreqFactor?: number;
  readonly highFreqFactor?: number;
}

/** Configuration of a SmolLM3-shaped decoder (names of Transformers' SmolLM3Config in camelCase). */
export interface SmolLM3Config {
  readonly modelType: "smollm3" | "llama";
  readonly architectures: readonly string[];
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly hiddenAct: Activation;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly rope: RopeParameters;
  /** For each layer 1 = rotary, 0 = NoPE. */
  readonly noRopeLayers: readonly (0 | 1)[];
  /** For each layer the sliding window in tokens, 0 = full attention. */
  readonly slidingWindows: readonly number[];
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly tieWordEmbeddings: boolean;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
  /** Number type that the checkpoint names (`dtype`, formerly `torch_dtype`). */
  readonly dtype: "float32" | "float16" | "bfloat16";
}
