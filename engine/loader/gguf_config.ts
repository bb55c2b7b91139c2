/**
 * The configuration in the metadata of a GGUF file, in the spelling of a `config.json`.
 *
 * @module
 */
import { Fields, type JsonObject } from "../json_fields.ts";
import type { GgufMetadata } from "./gguf_metadata.ts";
import type { StoredTensor } from "./tensor_store.ts";

/** Names and shapes in the file's own spelling. */
export type GgufTensors = ReadonlyMap<string, Pick<StoredTensor, "storageType" | "shape">>;

/**
 * Writes the `config.json` that the metadata stand for. SmolLM3's NoPE layers are not in them: as in llama.cpp, each fourth layer is one.
 * The head is tied when the file has no `output.weight`; biases are there when those of the first layer are.
 *
 * @param file Name of the file, for messages.
 * @throws {TypeError} when a key is missing or has the wrong type.
 * @throws {RangeError} when the architecture or a feature is not supported.
 */
export function configJsonFromGguf(metadata: GgufMetadata, tensors: GgufTensors, file: string): JsonObject {
  const fields = new Fields(Object.fromEntries(metadata), file);
  const arch = fields.string("general.architecture");
  if (arch !== "smollm3" && arch !== "llama") throw fields.error("general.architecture", `must be smollm3 or llama, got ${JSON.stringify(arch)}`);
  const key = (name: string) => `${arch}.${name}`;
  if (fields.integer(key("expert_count"), 0) > 0) throw fields.error(key("expert_count"), "is not 0: mixtures of experts are not supported");

  const embeddings = tensors.get("token_embd.weight");
  if (embeddings?.shape.length !== 2) throw new TypeError(`Cannot read ${file}: it has no matrix token_embd.weight`);
  const heads = fields.integer(key("attention.head_count"), undefined, { min: 1 }), hiddenSize = fields.integer(key("embedding_length"));
  const headDim = fields.integer(key("attention.key_length"), Math.floor(hiddenSize / heads));
  for (const name of ["attention.value_length", "rope.dimension_count"]) {
    const size = fields.integer(key(name), headDim);
    if (size !== headDim) throw fields.error(key(name), `must be the head size ${headDim}, got ${size}`);
  }
  const contextLength = fields.integer(key("context_length"), undefined, { min: 1 });
  const id = (name: string) => fields.has(`tokenizer.ggml.${name}_token_id`) ? fields.integer(`tokenizer.ggml.${name}_token_id`) : null;
  return {
    model_type: arch,
    architectures: [arch === "smollm3" ? "SmolLM3ForCausalLM" : "LlamaForCausalLM"],
    vocab_size: embeddings.shape[0],
    hidden_size: hiddenSize,
    intermediate_size: fields.integer(key("feed_forward_length")),
    num_hidden_layers: fields.integer(key("block_count")),
    num_attention_heads: heads,
    num_key_value_heads: fields.integer(key("attention.head_count_kv"), heads),
    ...(headDim * heads === hiddenSize ? {} : { head_dim: headDim }),
    hidden_act: "silu",
    max_position_embeddings: contextLength,
    // Written as float32: 1e-6 is 9.99999997e-7 there.
    rms_norm_eps: Number(fields.number(key("attention.layer_norm_rms_epsilon")).toPrecision(7)),
    rope_parameters: ropeJson(fields, key, contextLength),
    ...(arch === "smollm3" ? { no_rope_layer_interval: 4 } : {}),
    attention_bias: tensors.has("blk.0.attn_q.bias"),
    mlp_bias: tensors.has("blk.0.ffn_gate.bias"),
    tie_word_embeddings: !tensors.has("output.weight"),
    bos_token_id: id("bos"),
    eos_token_id: id("eos"),
    pad_token_id: id("padding"),
    dtype: ({ f16: "float16", bf16: "bfloat16" } as Record<string, string>)[embeddings.storageType] ?? "float32",
  };
}

/** Scaling by llama.cpp's keys; its `attn_factor` multiplies what YaRN computes from the factor. */
function ropeJson(fields: Fields, key: (name: string) => string, contextLength: number): JsonObject {
  const base = { rope_theta: fields.positive(key("rope.freq_base"), 10000) };
  const typeKey = key("rope.scaling.type"), type = fields.string(typeKey, "none");
  if (type === "none") return { rope_type: "default", ...base };
  const factor = fields.positive(key("rope.scaling.factor"));
  if (type === "linear") return { rope_type: "linear", ...base, factor };
  if (type !== "yarn") throw fields.error(typeKey, `must be none, linear or yarn, got ${JSON.stringify(type)}`);
  const attention = fields.positive(key("rope.scaling.attn_factor"), 1);
  const optional = (name: string, ggufName: string) => fields.has(key(ggufName)) ? { [name]: fields.positive(key(ggufName)) } : {};
  return {
    rope_type: "yarn",
    ...base,
    factor,
    original_max_position_embeddings: fields.integer(key("rope.scaling.original_context_length"), contextLength, { min: 1 }),
    ...(attention === 1 ? {} : { attention_factor: attention * (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1) }),
    ...optional("beta_fast", "rope.scaling.yarn_beta_fast"),
    ...optional("beta_slow", "rope.scaling.yarn_beta_slow"),
  };
}
