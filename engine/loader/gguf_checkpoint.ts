/**
 * GGUF files as checkpoints: everything by the names and in the order of Transformers.
 *
 * @module
 */
import { parseConfig, type SmolLM3Config } from "../config.ts";
import { Fields, type JsonObject } from "../json_fields.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type Gguf, openGguf } from "./gguf.ts";
import { configJsonFromGguf } from "./gguf_config.ts";
import { type GgufMetadata, GgufStrings } from "./gguf_metadata.ts";
import type { ModelSource } from "./source.ts";
import { type StoredTensor, TensorStore } from "./tensor_store.ts";
import type { TokenizerFiles } from "./tokenizer_files.ts";

const outer: Readonly<Record<string, string>> = { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" };
const inLayer: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** Opens a GGUF file: see {@link openCheckpoint}. */
export async function openGgufCheckpoint(source: ModelSource & { kind: "gguf" }): Promise<Checkpoint> {
  const { files, file, name } = source, gguf = await openGguf(files, file), path = files.path(file);
  try {
    const configJson = configJsonFromGguf(gguf.metadata, gguf.tensors, path), config = parseConfig(configJson, path);
    const store = new TensorStore(renamed(gguf.tensors, config), gguf.files);
    return {
      name,
      config: withFrequencyFactors(config, gguf, path),
      configJson,
      generationConfig: { bos_token_id: config.bosTokenId, eos_token_id: endTokens(gguf.metadata, path), pad_token_id: config.padTokenId },
      tokenizer: ggufTokenizerFiles(gguf.metadata, path),
      tensors: store.tensors,
      readRows: store.readRows.bind(store),
      close: () => store.close(),
    };
  } catch (error) {
    for (const file of gguf.files) file.close();
    throw error;
  }
}

/** Reads the tokenizer of a GGUF file, and closes it. */
export async function openGgufTokenizerFiles(source: ModelSource & { kind: "gguf" }): Promise<TokenizerFiles> {
  const { metadata, files } = await openGguf(source.files, source.file);
  for (const file of files) file.close();
  return ggufTokenizerFiles(metadata, source.files.path(source.file));
}

/** @returns The name of Transformers for a tensor of a GGUF file, or null for one that is no weight of a layer, such as `rope_freqs.weight`. */
export function transformersName(name: string): string | null {
  const match = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name);
  if (match === null) return null;
  const [, layer, part, kind] = match;
  const table = layer === undefined ? outer : inLayer;
  if (!Object.hasOwn(table, part)) return null;
  return layer === undefined ? `${table[part]}.${kind}` : `model.layers.${layer}.${table[part]}.${kind}`;
}

function renamed(tensors: ReadonlyMap<string, StoredTensor>, { headDim }: SmolLM3Config): Map<string, StoredTensor> {
  const result = new Map<string, StoredTensor>();
  for (const [ggufName, tensor] of tensors) {
    const name = transformersName(ggufName);
    if (name === null) continue;
    // llama.cpp rotates neighbours, Transformers halves: the converter has put the rows of Q and K into that order, in NoPE layers too.
    const interleaved = /\.(q|k)_proj\./.test(name) && tensor.shape[0] >= headDim && tensor.shape[0] % headDim === 0;
    result.set(name, interleaved ? { ...tensor, interleavedHeadRows: headDim } : tensor);
  }
  return result;
}

/** Llama 3's scaling is a tensor in GGUF files: divisors of the frequencies. */
function withFrequencyFactors(config: SmolLM3Config, { tensors }: Gguf, path: string): SmolLM3Config {
  const tensor = tensors.get("rope_freqs.weight");
  if (tensor === undefined) return config;
  const { storageType, shape, byteLength, file, offsetBytes } = tensor, length = config.headDim / 2;
  if (storageType !== "f32" || shape.join() !== `${length}`) {
    throw new TypeError(`Cannot read ${path}: rope_freqs.weight must be f32 [${length}], got ${storageType} [${shape.join(", ")}]`);
  }
  const bytes = new Uint8Array(byteLength);
  file.read(offsetBytes, bytes);
  const freqFactors = Array.from(new Float32Array(bytes.buffer));
  if (!freqFactors.every((factor) => factor > 0 && factor < Infinity)) throw new RangeError(`Cannot read ${path}: rope_freqs.weight must have values above 0`);
  return { ...config, rope: { ...config.rope, freqFactors } };
}

/** Control tokens that end an answer whatever the metadata say, by their text: those that llama.cpp knows for byte-level vocabularies. */
const endTexts = new Set(["<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>"]);
/** `token_type` of control tokens and of those that a user defined. */
const controlType = 3, userDefinedType = 4;

/** Ids that end an answer: those of the metadata, then the known texts. */
function endTokens(metadata: GgufMetadata, path: string): number[] {
  const fields = new Fields(Object.fromEntries(metadata), path), ids = new Set<number>();
  for (const key of ["eos", "eot", "eom"].map((name) => `tokenizer.ggml.${name}_token_id`)) if (fields.has(key)) ids.add(fields.integer(key));
  const tokens = metadata.get("tokenizer.ggml.tokens"), types = metadata.get("tokenizer.ggml.token_type");
  if (!(tokens instanceof GgufStrings) || !ArrayBuffer.isView(types)) return [...ids];
  const known = (types as Int32Array).subarray(0, tokens.length);
  known.forEach((type, id) => {
    if ((type === controlType || type === userDefinedType) && endTexts.has(tokens.at(id))) ids.add(id);
  });
  return [...ids];
}

function ggufTokenizerFiles(metadata: GgufMetadata, path: string): TokenizerFiles {
  const fields = new Fields(Object.fromEntries(metadata), path), tokens = metadata.get("tokenizer.ggml.tokens");
  const text = (name: string) => {
    const key = `tokenizer.ggml.${name}_token_id`;
    if (!fields.has(key) || !(tokens instanceof GgufStrings)) return null;
    const id = fields.integer(key);
    return id < tokens.length ? tokens.at(id) : null;
  };
  const config: JsonObject = { bos_token: text("bos"), eos_token: text("eos"), pad_token: text("padding"), unk_token: text("unknown") };
  return {
    config,
    chatTemplate: fields.has("tokenizer.chat_template") ? fields.string("tokenizer.chat_template") : null,
    async spec() {
      return (await import("./tokenizer_gguf.ts")).parseTokenizerGguf(metadata, path);
    },
  };
}
