/**
 * The model configuration, as the rest of the engine sees it: every value present, checked and in one form.
 *
 * @module
 */
import { Fields, isJsonObject } from "./json_fields.ts";
import type { Activation } from "./program.ts";
import { parseRopeParameters } from "./rope_parameters.ts";

/** RoPE parameters in the v5 form of Transformers (`rope_parameters`), keys in camelCase, values unchanged. */
export interface RopeParameters {
  /** Which formula gives the frequencies. */
  readonly ropeType: "default" | "linear" | "dynamic" | "yarn" | "longrope" | "llama3";
  /** Base of the frequencies. */
  readonly ropeTheta: number;
  /** By how much the context is stretched. */
  readonly factor?: number;
  /** Context length of the training before it was stretched, in tokens. */
  readonly originalMaxPositionEmbeddings?: number;
  /** What cos and sin are multiplied by, in place of the value that follows from the factor. */
  readonly attentionFactor?: number;
  /** YaRN: turns over the original context from which a frequency stays as it is; 32 when absent. */
  readonly betaFast?: number;
  /** YaRN: turns below which a frequency is divided by the factor; 1 when absent. */
  readonly betaSlow?: number;
  /** YaRN: with `mscaleAllDim` in place of the attention factor. */
  readonly mscale?: number;
  /** YaRN: see `mscale`. */
  readonly mscaleAllDim?: number;
  /** YaRN: whether the bounds between the two are whole numbers; true when absent. */
  readonly truncate?: boolean;
  /** LongRoPE: `[headDim / 2]` divisors up to the original context length. */
  readonly shortFactor?: readonly number[];
  /** LongRoPE: `[headDim / 2]` divisors past it. */
  readonly longFactor?: readonly number[];
  /** Llama 3: turns below which a frequency is divided by the factor. */
  readonly lowFreqFactor?: number;
  /** Llama 3: turns above which it stays as it is. */
  readonly highFreqFactor?: number;
  /** `[headDim / 2]` divisors of the inverse frequencies, last of all: the tensor `rope_freqs.weight` of a GGUF file. */
  readonly freqFactors?: readonly number[];
}

/** Configuration of a SmolLM3-shaped decoder (names of Transformers' SmolLM3Config in camelCase). */
export interface SmolLM3Config {
  /** Model class; `llama` rotates in every layer. */
  readonly modelType: "smollm3" | "llama";
  /** Names of the Transformers classes that the checkpoint was saved from. */
  readonly architectures: readonly string[];
  /** Rows of the embedding table. */
  readonly vocabSize: number;
  /** Values of a token between layers. */
  readonly hiddenSize: number;
  /** Values between the two halves of the MLP. */
  readonly intermediateSize: number;
  /** Decoder layers. */
  readonly numHiddenLayers: number;
  /** Query heads of a layer. */
  readonly numAttentionHeads: number;
  /** Key and value heads of a layer; a divisor of the query heads. */
  readonly numKeyValueHeads: number;
  /** Values of a head; even. */
  readonly headDim: number;
  /** Activation of the MLP. */
  readonly hiddenAct: Activation;
  /** Context length, in tokens. */
  readonly maxPositionEmbeddings: number;
  /** Added to the mean of squares. */
  readonly rmsNormEps: number;
  /** Rotary position embeddings. */
  readonly rope: RopeParameters;
  /** For each layer 1 = rotary, 0 = NoPE. */
  readonly noRopeLayers: readonly (0 | 1)[];
  /** For each layer the sliding window in tokens, 0 = full attention. */
  readonly slidingWindows: readonly number[];
  /** Whether q, k, v and o have biases. */
  readonly attentionBias: boolean;
  /** Whether gate, up and down have biases. */
  readonly mlpBias: boolean;
  /** Whether the head is the embedding table. */
  readonly tieWordEmbeddings: boolean;
  /** Token that begins a text. */
  readonly bosTokenId: number | null;
  /** Tokens that end an answer. */
  readonly eosTokenIds: readonly number[];
  /** Token that fills rows of a batch. */
  readonly padTokenId: number | null;
  /** Number type that the checkpoint names (`dtype`, formerly `torch_dtype`). */
  readonly dtype: "float32" | "float16" | "bfloat16";
}

/** Most layers a configuration may have: longer lists are made from this number before any weight is seen. */
export const maxLayers = 4096;

/** Defaults of the two configuration classes of Transformers for keys that a file may leave out. */
const classDefaults = {
  smollm3: { kvHeads: 4, maxPositions: 32768, theta: 2_000_000, bos: 128000, eos: 128001, pad: 128004, tied: true },
  llama: { kvHeads: null, maxPositions: 2048, theta: 10_000, bos: 1, eos: 2, pad: null, tied: false },
} as const;

/** Spellings of activation functions in `hidden_act`; `swish` and `gelu_new` are second names of the same formulas. */
const hiddenActs = new Map<string, Activation>([
  ["silu", "silu"],
  ["swish", "silu"],
  ["gelu", "gelu"],
  ["gelu_new", "gelu_pytorch_tanh"],
  ["gelu_pytorch_tanh", "gelu_pytorch_tanh"],
  ["relu", "relu"],
]);

/**
 * Reads a `config.json` of Transformers 4.x or 5. Keys that give the weights their shapes (`vocab_size`, `hidden_size`, `intermediate_size`,
 * `num_hidden_layers`, `num_attention_heads`) and `model_type` must be there; every other one has the default of its class; unknown keys
 * are ignored.
 *
 * @param json The parsed file.
 * @param file Its name, for messages.
 * @throws {TypeError} when a key is missing or has the wrong type.
 * @throws {RangeError} when a value is out of range or does not fit another one.
 * @example
 * ```ts
 * import { parseConfig } from "./config.ts";
 * const sizes = { vocab_size: 128, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 4, num_attention_heads: 4 };
 * const config = parseConfig({ model_type: "smollm3", ...sizes });
 * console.assert(config.headDim === 16 && config.noRopeLayers.join() === "1,1,1,0");
 * ```
 */
export function parseConfig(json: unknown, file = "config.json"): SmolLM3Config {
  if (!isJsonObject(json)) throw new TypeError(`Cannot read ${file}: expected a JSON object`);
  const fields = new Fields(json, file);
  const modelType = fields.string("model_type");
  if (modelType !== "smollm3" && modelType !== "llama") throw fields.error("model_type", `must be smollm3 or llama, got ${JSON.stringify(modelType)}`);
  const defaults = classDefaults[modelType];
  const size = (key: string, fallback?: number) => fields.integer(key, fallback, { min: 1 });

  const vocabSize = size("vocab_size"), hiddenSize = size("hidden_size"), numAttentionHeads = size("num_attention_heads");
  const numHiddenLayers = fields.integer("num_hidden_layers", undefined, { min: 1, max: maxLayers });
  // An explicit null means as many as attention heads in both classes.
  const kvDefault = json.num_key_value_heads === null ? null : defaults.kvHeads;
  const numKeyValueHeads = size("num_key_value_heads", kvDefault ?? numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    throw fields.error("num_attention_heads", `(${numAttentionHeads}) must be a multiple of num_key_value_heads (${numKeyValueHeads})`);
  }
  if (!fields.has("head_dim") && hiddenSize % numAttentionHeads !== 0) {
    throw fields.error("hidden_size", `(${hiddenSize}) must be a multiple of num_attention_heads (${numAttentionHeads}) where head_dim is absent`);
  }
  const headDim = size("head_dim", hiddenSize / numAttentionHeads);
  if (headDim % 2 !== 0) throw fields.error("head_dim", `must be even to rotate in halves, got ${headDim}`);

  const activation = fields.string("hidden_act", "silu"), hiddenAct = hiddenActs.get(activation);
  if (hiddenAct === undefined) throw fields.error("hidden_act", `must be one of ${[...hiddenActs.keys()].join(", ")}, got ${JSON.stringify(activation)}`);
  const maxPositionEmbeddings = size("max_position_embeddings", defaults.maxPositions);
  const noRopeLayers = modelType === "llama" ? new Array<1>(numHiddenLayers).fill(1) : parseNoRopeLayers(fields, numHiddenLayers);
  const nullableId = (key: string, fallback: number | null) => {
    const absent = json[key] === null ? null : fallback;
    return fields.has(key) ? fields.integer(key, undefined, { min: -1 }) : absent;
  };
  return {
    modelType,
    architectures: fields.strings("architectures", []),
    vocabSize,
    hiddenSize,
    intermediateSize: size("intermediate_size"),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    hiddenAct,
    maxPositionEmbeddings,
    rmsNormEps: fields.number("rms_norm_eps", 1e-6, { min: 0 }),
    rope: parseRopeParameters(fields, { defaultTheta: defaults.theta, maxPositionEmbeddings, headDim }),
    noRopeLayers,
    slidingWindows: modelType === "llama" ? new Array<number>(numHiddenLayers).fill(0) : parseSlidingWindows(fields, noRopeLayers),
    attentionBias: fields.boolean("attention_bias", false),
    mlpBias: fields.boolean("mlp_bias", false),
    tieWordEmbeddings: fields.boolean("tie_word_embeddings", defaults.tied),
    bosTokenId: nullableId("bos_token_id", defaults.bos),
    eosTokenIds: fields.ids("eos_token_id", json.eos_token_id === null ? [] : [defaults.eos]),
    padTokenId: nullableId("pad_token_id", defaults.pad),
    dtype: parseDtype(fields),
  };
}

/** 1 = rotary: given, or every layer but each `no_rope_layer_interval`-th. A longer list than there are layers is cut, as Transformers does. */
function parseNoRopeLayers(fields: Fields, layers: number): (0 | 1)[] {
  const interval = fields.integer("no_rope_layer_interval", 4, { min: 1 });
  if (!fields.has("no_rope_layers")) return Array.from({ length: layers }, (_, i) => (i + 1) % interval === 0 ? 0 : 1);
  const given = fields.numbers("no_rope_layers");
  if (given.length < layers) throw fields.error("no_rope_layers", `must have ${layers} values (num_hidden_layers), got ${given.length}`);
  return given.slice(0, layers).map((value, i) => {
    if (value !== 0 && value !== 1) throw fields.error(`no_rope_layers[${i}]`, `must be 0 or 1, got ${value}`);
    return value;
  });
}

/** Windows by `layer_types` where they are given; otherwise a window, if it is switched on, applies to the NoPE layers only. */
function parseSlidingWindows(fields: Fields, noRopeLayers: readonly (0 | 1)[]): number[] {
  const window = fields.integer("sliding_window", 0, { min: 1 });
  const layers = noRopeLayers.length;
  const on = fields.boolean("use_sliding_window", false) && window > 0;
  if (!fields.has("layer_types")) return noRopeLayers.map((rope) => on && rope === 0 ? window : 0);
  const types = fields.strings("layer_types");
  if (types.length !== layers) throw fields.error("layer_types", `must have ${layers} values (num_hidden_layers), got ${types.length}`);
  return types.map((type, i) => {
    if (type === "full_attention") return 0;
    if (type !== "sliding_attention") throw fields.error(`layer_types[${i}]`, `must be full_attention or sliding_attention, got ${JSON.stringify(type)}`);
    if (window === 0) throw fields.error("sliding_window", `must be given: layer_types[${i}] is sliding_attention`);
    return window;
  });
}

function parseDtype(fields: Fields): SmolLM3Config["dtype"] {
  const key = fields.has("dtype") ? "dtype" : "torch_dtype", name = fields.string(key, "float32").replace(/^torch\./, "");
  if (name === "float32" || name === "float16" || name === "bfloat16") return name;
  throw fields.error(key, `must be float32, float16 or bfloat16, got ${JSON.stringify(name)}`);
}
