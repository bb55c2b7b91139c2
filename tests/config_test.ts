import { assertEquals, assertThrows } from "@std/assert";
import { parseConfig } from "../engine/config.ts";

const sizes = { vocab_size: 128, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 4, num_attention_heads: 4 };
const smol = { model_type: "smollm3", ...sizes };
const llama = { model_type: "llama", ...sizes };
const fixture = (name: string) => JSON.parse(Deno.readTextFileSync(new URL(`./fixtures/tiny_models/${name}/config.json`, import.meta.url)));

Deno.test("absent keys have the defaults of SmolLM3Config", () => {
  assertEquals(parseConfig(smol), {
    modelType: "smollm3",
    architectures: [],
    vocabSize: 128,
    hiddenSize: 64,
    intermediateSize: 96,
    numHiddenLayers: 4,
    numAttentionHeads: 4,
    numKeyValueHeads: 4,
    headDim: 16,
    hiddenAct: "silu",
    maxPositionEmbeddings: 32768,
    rmsNormEps: 1e-6,
    rope: { ropeType: "default", ropeTheta: 2e6 },
    noRopeLayers: [1, 1, 1, 0],
    slidingWindows: [0, 0, 0, 0],
    attentionBias: false,
    mlpBias: false,
    tieWordEmbeddings: true,
    bosTokenId: 128000,
    eosTokenIds: [128001],
    padTokenId: 128004,
    dtype: "float32",
  });
});

Deno.test("absent keys have the defaults of LlamaConfig, and every layer rotates", () => {
  const config = parseConfig({ ...llama, num_attention_heads: 2, use_sliding_window: true, sliding_window: 8 });
  assertEquals([config.numKeyValueHeads, config.maxPositionEmbeddings, config.tieWordEmbeddings, config.rope.ropeTheta], [2, 2048, false, 10000]);
  assertEquals([config.bosTokenId, config.eosTokenIds, config.padTokenId], [1, [2], null]);
  assertEquals([config.noRopeLayers, config.slidingWindows], [[1, 1, 1, 1], [0, 0, 0, 0]]);
});

Deno.test("null is not the default where the class takes None: KV heads, ids", () => {
  const config = parseConfig({ ...smol, num_attention_heads: 16, num_key_value_heads: null, pad_token_id: null, bos_token_id: null, eos_token_id: null });
  assertEquals([config.numKeyValueHeads, config.padTokenId, config.bosTokenId, config.eosTokenIds], [16, null, null, []]);
  assertEquals(parseConfig({ ...smol, num_attention_heads: 16 }).numKeyValueHeads, 4);
  assertEquals(parseConfig({ ...smol, eos_token_id: [5, 6], head_dim: null }).eosTokenIds, [5, 6]);
});

Deno.test("every tiny model's configuration is read", () => {
  const differs: Record<string, (config: ReturnType<typeof parseConfig>) => unknown[]> = {
    base: (c) => [c.dtype, "float32", c.numKeyValueHeads, 2, c.eosTokenIds, [2], c.rope, { ropeType: "default", ropeTheta: 10000 }],
    interval_2: (c) => [c.noRopeLayers, [1, 0, 1, 0], c.dtype, "float16"],
    no_rope_layers: (c) => [c.noRopeLayers, [0, 1, 1, 0]],
    untied: (c) => [c.tieWordEmbeddings, false],
    biases: (c) => [c.attentionBias, true, c.mlpBias, true],
    mha: (c) => [c.numKeyValueHeads, 4],
    mqa: (c) => [c.numKeyValueHeads, 1],
    head_dim_32: (c) => [c.headDim, 32],
    sliding: (c) => [c.slidingWindows, [0, 8, 0, 8]],
    gelu: (c) => [c.hiddenAct, "gelu"],
    gelu_tanh: (c) => [c.hiddenAct, "gelu_pytorch_tanh"],
    relu: (c) => [c.hiddenAct, "relu"],
    rope_linear: (c) => [c.rope, { ropeType: "linear", ropeTheta: 10000, factor: 2.5 }],
    rope_dynamic: (c) => [c.rope, { ropeType: "dynamic", ropeTheta: 10000, factor: 2 }],
    rope_llama3: (c) => [c.rope.lowFreqFactor, 1, c.rope.highFreqFactor, 4, c.rope.factor, 8, c.rope.originalMaxPositionEmbeddings, 32],
    rope_longrope_long: (c) => [c.rope.longFactor?.[7], 2.75, c.rope.shortFactor?.[7], 1.35],
    rope_yarn: (c) => [c.rope.truncate, true, c.rope.mscale, undefined, c.rope.originalMaxPositionEmbeddings, 64],
    rope_yarn_mscale: (c) => [c.rope.truncate, false, c.rope.mscale, 0.7, c.rope.mscaleAllDim, 1, c.rope.betaFast, 16, c.rope.betaSlow, 2],
    sequence_classification_multi: (c) => [c.architectures, ["SmolLM3ForSequenceClassification"]],
  };
  for (const [name, pick] of Object.entries(differs)) {
    const values = pick(parseConfig(fixture(name), `${name}/config.json`));
    for (let i = 0; i < values.length; i += 2) assertEquals(values[i], values[i + 1], name);
  }
});

Deno.test("RoPE in the form of 4.x equals RoPE in the form of v5", () => {
  const yarn = { factor: 2, original_max_position_embeddings: 65536 };
  const v5 = parseConfig({ ...smol, rope_parameters: { rope_type: "yarn", rope_theta: 5e6, ...yarn }, dtype: "bfloat16" });
  assertEquals(parseConfig({ ...smol, rope_theta: 5e6, rope_scaling: { type: "yarn", ...yarn }, torch_dtype: "torch.bfloat16" }), v5);
  assertEquals(parseConfig({ ...smol, rope_theta: 5e6, rope_scaling: { rope_type: "yarn", ...yarn }, torch_dtype: "bfloat16" }), v5);
  assertEquals(v5.rope.factor, 2);
  // The original length defaults to the present one; an explicit null factor is their ratio.
  assertEquals(parseConfig({ ...smol, rope_scaling: { type: "yarn", factor: 2 } }).rope.originalMaxPositionEmbeddings, 32768);
  assertEquals(parseConfig({ ...smol, rope_scaling: { type: "yarn", factor: null, original_max_position_embeddings: 8192 } }).rope.factor, 4);
  assertEquals(parseConfig({ ...smol, rope_theta: 7, rope_scaling: null, rope_parameters: {} }).rope, { ropeType: "default", ropeTheta: 7 });
});

Deno.test("layer_types decide where they are given; otherwise windows lie on NoPE layers, if switched on", () => {
  const windows = (keys: object) => parseConfig({ ...smol, ...keys }).slidingWindows;
  assertEquals(windows({ use_sliding_window: true, sliding_window: 16 }), [0, 0, 0, 16]);
  assertEquals(windows({ use_sliding_window: false, sliding_window: 16 }), [0, 0, 0, 0]);
  assertEquals(windows({ use_sliding_window: true, sliding_window: null }), [0, 0, 0, 0]);
  const layer_types = ["sliding_attention", "full_attention", "full_attention", "full_attention"];
  assertEquals(windows({ sliding_window: 16, layer_types }), [16, 0, 0, 0]);
});

Deno.test("wrong configurations are refused; the message names file and key", () => {
  const full = "full_attention", yarn = { rope_type: "yarn", factor: 2 };
  // deno-lint-ignore no-explicit-any -- constructors of errors
  const cases: [object | null, any, string][] = [
    [{ vocab_size: undefined }, TypeError, "the key vocab_size is missing"],
    [{ hidden_size: null }, TypeError, "the key hidden_size is missing"],
    [{ model_type: undefined }, TypeError, "the key model_type is missing"],
    [{ model_type: "gpt2" }, RangeError, 'model_type must be smollm3 or llama, got "gpt2"'],
    [{ num_attention_heads: 4, num_key_value_heads: 3 }, RangeError, "num_attention_heads (4) must be a multiple of num_key_value_heads (3)"],
    [{ num_attention_heads: 3, num_key_value_heads: 3 }, RangeError, "hidden_size (64) must be a multiple of num_attention_heads (3)"],
    [{ head_dim: 15 }, RangeError, "head_dim must be even"],
    [{ hidden_act: "mish" }, RangeError, 'hidden_act must be one of silu, swish, gelu, gelu_new, gelu_pytorch_tanh, relu, got "mish"'],
    [{ hidden_size: "64" }, TypeError, 'hidden_size must be a whole number, got "64"'],
    [{ hidden_size: 64.5 }, TypeError, "hidden_size must be a whole number, got 64.5"],
    [{ vocab_size: -1 }, RangeError, "vocab_size must be between 1 and 2147483647, got -1"],
    [{ num_hidden_layers: 1e15 }, RangeError, "num_hidden_layers must be between 1 and 4096"],
    [{ num_hidden_layers: 0 }, RangeError, "num_hidden_layers"],
    [{ tie_word_embeddings: 1 }, TypeError, "tie_word_embeddings must be true or false, got 1"],
    [{ rms_norm_eps: -1e-6 }, RangeError, "rms_norm_eps must be at least 0"],
    [{ eos_token_id: ["</s>"] }, TypeError, 'eos_token_id[0] must be a whole number, got "</s>"'],
    [{ no_rope_layers: [1, 1] }, RangeError, "no_rope_layers must have 4 values (num_hidden_layers), got 2"],
    [{ no_rope_layers: [1, 1, 2, 0] }, RangeError, "no_rope_layers[2] must be 0 or 1, got 2"],
    [{ no_rope_layer_interval: 0 }, RangeError, "no_rope_layer_interval"],
    [{ layer_types: [full] }, RangeError, "layer_types must have 4 values (num_hidden_layers), got 1"],
    [{ layer_types: [full, full, full, "chunked_attention"] }, RangeError, "layer_types[3] must be full_attention or sliding_attention"],
    [{ layer_types: [full, full, full, "sliding_attention"] }, RangeError, "sliding_window must be given"],
    [{ dtype: "float64" }, RangeError, 'dtype must be float32, float16 or bfloat16, got "float64"'],
    [{ rope_theta: 0 }, RangeError, "rope_theta must be more than 0, got 0"],
    [{ rope_scaling: [] }, TypeError, "rope_scaling must be an object, got a list of 0"],
    [{ rope_scaling: { type: "mrope" } }, RangeError, "rope_scaling.type must be one of default, linear, dynamic, yarn, longrope, llama3"],
    [{ rope_parameters: { rope_type: "linear" } }, TypeError, "the key rope_parameters.factor is missing"],
    [{ rope_parameters: { rope_type: "yarn" } }, TypeError, "the key rope_parameters.factor is missing"],
    [{ rope_parameters: { ...yarn, truncate: "no" } }, TypeError, "rope_parameters.truncate must be true or false"],
    [{ rope_parameters: { rope_type: "llama3", factor: 8 } }, TypeError, "the key rope_parameters.low_freq_factor is missing"],
    [{ rope_parameters: { rope_type: "llama3", factor: 8, low_freq_factor: 4, high_freq_factor: 4 } }, RangeError, "must differ"],
    [{ rope_parameters: { rope_type: "longrope", short_factor: [1], long_factor: [1] } }, RangeError, "short_factor must have 8 values (head_dim / 2), got 1"],
    [{ rope_parameters: { full_attention: yarn } }, RangeError, "rope_parameters has parameters for each layer type"],
    [{ partial_rotary_factor: 0.5, rope_scaling: yarn }, RangeError, "partial_rotary_factor must be 1"],
    [null, TypeError, "expected a JSON object"],
  ];
  for (const [keys, errorClass, message] of cases) {
    const error = assertThrows(() => parseConfig(keys && { ...smol, ...keys }, "dir/config.json"), errorClass, message);
    assertEquals(error.message.startsWith("Cannot read dir/config.json: "), true, error.message);
  }
});
