/**
 * Mutated model files: whatever is in them, opening one gives a checkpoint or an error that says what is wrong.
 *
 * @module
 */
import { MemoryFile } from "../engine/loader/byte_file.ts";
import { fourBitCodes } from "../engine/loader/four_bit_codes.ts";
import { openCheckpoint } from "../engine/loader/checkpoint.ts";
import type { FileStore } from "../engine/loader/file_store.ts";
import { isStorageType } from "../engine/loader/tensor_store.ts";
import { ggufBytes, type Value } from "./gguf_bytes.ts";

/** Containers that are fuzzed. */
export type Container = "safetensors" | "bitsandbytes" | "gguf";

/** What became of the inputs. */
export interface FuzzReport {
  readonly inputs: number;
  /** Opened in spite of the mutation. */
  opened: number;
  /** Refused with a typed error. */
  refused: number;
  /** The worst input, in milliseconds. */
  slowestMs: number;
  /** Everything else: seed of the input and what was thrown. */
  readonly failures: string[];
}

/** Opens `count` mutated files; the same seed gives the same files. */
export async function fuzzLoader(container: Container, count: number, seed: number): Promise<FuzzReport> {
  const report: FuzzReport = { inputs: count, opened: 0, refused: 0, slowestMs: 0, failures: [] };
  const original = originals[container]();
  for (let i = 0; i < count; i++) {
    const random = generator(seed + i), files = { ...original };
    const names = Object.keys(files), name = names[random(4) > 0 ? 0 : random(names.length)];
    files[name] = mutate(files[name], random);
    const start = performance.now();
    try {
      await openAll(container, files);
      report.opened++;
    } catch (error) {
      if (isTyped(error)) report.refused++;
      else if (report.failures.length < 10) report.failures.push(`seed ${seed + i}: ${error instanceof Error ? error.stack : error}`);
      else return report;
    }
    report.slowestMs = Math.max(report.slowestMs, performance.now() - start);
  }
  return report;
}

/** Errors that are meant: of a class that callers know, with a message that says what could not be done. */
function isTyped(error: unknown): boolean {
  const classes = [TypeError, RangeError, SyntaxError, Deno.errors.NotFound];
  return error instanceof Error && classes.some((known) => error.constructor === known) && /^Cannot (read|open|load|use) /.test(error.message);
}

/** Opens a checkpoint and reads all that it has. */
async function openAll(container: Container, files: Record<string, Uint8Array>): Promise<void> {
  const store: FileStore = {
    location: "m",
    path: (name) => `m/${name}`,
    readText: (name) => Promise.resolve(name in files ? new TextDecoder().decode(files[name]) : null),
    open: (name) =>
      name in files ? Promise.resolve(new MemoryFile(`m/${name}`, files[name])) : Promise.reject(new Deno.errors.NotFound(`Cannot open m/${name}`)),
  };
  const source = container === "gguf"
    ? { kind: "gguf", name: "m", files: store, file: "m.gguf" } as const
    : { kind: "transformers", name: "m", files: store } as const;
  const checkpoint = await openCheckpoint(source);
  for (const [name, { storageType, shape }] of checkpoint.tensors) {
    if (isStorageType(storageType) && shape.length > 0 && shape.length < 3) await checkpoint.readRows(name, 0, shape.length === 1 ? 1 : shape[0]);
  }
  await checkpoint.tokenizer.spec();
}

const u8 = (text: string) => new TextEncoder().encode(text);

/** A safetensors file of `[type, shape, bytes]`. */
function safetensors(tensors: Record<string, [string, number[], Uint8Array]>): Uint8Array {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, [dtype, shape, data]]) => [name, { dtype, shape, data_offsets: [end, end += data.length] }]);
  const header = u8(JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) })), bytes = new Uint8Array(8 + header.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  Object.values(tensors).reduce((at, [, , data]) => (bytes.set(data, at), at + data.length), 8 + header.length);
  return bytes;
}

const config = {
  model_type: "smollm3",
  vocab_size: 4,
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
};
const vocab = Object.fromEntries(["a", "b", "ab"].map((token, id) => [token, id]));
const tokenizer = { model: { type: "BPE", vocab, merges: ["a b"] }, pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true } };

const originals: Record<Container, () => Record<string, Uint8Array>> = {
  safetensors() {
    const rope = { rope_type: "llama3", rope_theta: 1e4, factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8 };
    return {
      "model.safetensors": safetensors({
        "model.embed_tokens.weight": ["BF16", [4, 8], new Uint8Array(64)],
        "model.norm.weight": ["F32", [8], new Uint8Array(32)],
        "extra": ["U8", [2, 2], new Uint8Array(4)],
      }),
      "config.json": u8(JSON.stringify({ ...config, no_rope_layers: [1, 0], eos_token_id: [1, 2], rope_parameters: rope })),
      "tokenizer.json": u8(JSON.stringify(tokenizer)),
    };
  },
  bitsandbytes() {
    const up = "model.layers.0.mlp.up_proj.weight", down = "model.layers.0.mlp.down_proj.weight", code = new Uint8Array(fourBitCodes.nf4.slice().buffer);
    const state = { quant_type: "nf4", blocksize: 64, dtype: "bfloat16" }, nested = { nested_blocksize: 256, nested_dtype: "float32", nested_offset: 0.5 };
    const states = [{ ...state, shape: [2, 64], ...nested }, { ...state, shape: [3, 33] }].map((state) => u8(JSON.stringify(state)));
    return {
      "model.safetensors": safetensors({
        [`${up}.quant_state.bitsandbytes__nf4`]: ["U8", [states[0].length], states[0]],
        [`${up}.absmax`]: ["U8", [2], new Uint8Array(2)],
        [`${up}.nested_absmax`]: ["F32", [1], new Uint8Array(4)],
        [`${up}.nested_quant_map`]: ["F32", [256], new Uint8Array(1024)],
        [`${up}.quant_map`]: ["F32", [16], code],
        [up]: ["U8", [64, 1], new Uint8Array(64)],
        [`${down}.quant_state.bitsandbytes__nf4`]: ["U8", [states[1].length], states[1]],
        [`${down}.absmax`]: ["F32", [2], new Uint8Array(8)],
        [`${down}.quant_map`]: ["F32", [16], code],
        [down]: ["U8", [50, 1], new Uint8Array(50)],
      }),
      "config.json": u8(JSON.stringify({ ...config, quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" } })),
      "tokenizer.json": u8(JSON.stringify(tokenizer)),
    };
  },
  gguf() {
    const strings = (...texts: string[]): Value => ({ array: [8, texts.map((string) => ({ string }))] });
    const arch = { context_length: 64, embedding_length: 32, block_count: 1, feed_forward_length: 32, "attention.head_count": 2, "attention.head_count_kv": 1 };
    const metadata: [string, Value][] = [
      ["general.architecture", { string: "smollm3" }],
      ...Object.entries(arch).map(([key, u32]): [string, Value] => [`smollm3.${key}`, { u32 }]),
      ["smollm3.attention.layer_norm_rms_epsilon", { f32: 1e-6 }],
      ["general.alignment", { u32: 32 }],
      ["split.count", { u16: 1 }],
      ["tokenizer.ggml.model", { string: "gpt2" }],
      ["tokenizer.ggml.pre", { string: "smaug-bpe" }],
      ["tokenizer.ggml.tokens", strings("a", "b", "ab", "<|im_end|>")],
      ["tokenizer.ggml.token_type", { array: [5, [1, 1, 1, 3].map((i32) => ({ i32 }))] }],
      ["tokenizer.ggml.merges", strings("a b")],
      ["tokenizer.ggml.eos_token_id", { u64: 3n }],
      ["extra.flag", { bool: 1 }],
      ["extra.nested", { array: [9, [{ array: [12, [{ f64: 1 }]] }]] }],
    ];
    const tensors = [
      { name: "token_embd.weight", dimensions: [32n, 4n], type: 8, offset: 0n },
      { name: "blk.0.attn_q.weight", dimensions: [32n, 32n], type: 2, offset: 160n },
      { name: "output_norm.weight", dimensions: [32n], type: 0, offset: 736n },
      { name: "rope_freqs.weight", dimensions: [8n], type: 0, offset: 864n },
    ];
    const bytes = ggufBytes({ metadata, tensors, dataBytes: 896 });
    bytes.set(new Uint8Array(new Float32Array(8).fill(2).buffer), bytes.length - 32);
    return { "m.gguf": bytes };
  },
};

type Random = (below: number) => number;

/** mulberry32. */
function generator(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = state + 0x6d2b79f5 >>> 0;
    let t = Math.imul(state ^ state >>> 15, state | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return Math.floor(((t ^ t >>> 14) >>> 0) / 2 ** 32 * below);
  };
}

/** Lengths and counts that have broken readers. */
const numbers = [0n, 1n, 3n, 255n, 2n ** 16n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 60n, 2n ** 63n, 2n ** 64n - 1n];
/** Pieces of JSON. */
const texts = ["0", "-1", "1e999", "9007199254740993", "null", "[]", "{}", '"', "\\", ":", ",", "[[[[", "true", '"x"', "1.5", "\u0000", '"__proto__":{},'];

/** One to four changes, half of them to the first bytes, where lengths and counts are. */
function mutate(original: Uint8Array, random: Random): Uint8Array {
  let bytes = original.slice();
  for (let changes = 1 + random(4); changes > 0 && bytes.length > 0; changes--) {
    const at = random(random(2) === 0 ? Math.min(bytes.length, 64) : bytes.length), length = random(Math.min(32, bytes.length - at) + 1);
    const splice = (inserted: Uint8Array, removed: number) => Uint8Array.of(...bytes.subarray(0, at), ...inserted, ...bytes.subarray(at + removed));
    switch (random(8)) {
      case 0:
        bytes[at] ^= 1 << random(8);
        break;
      case 1:
        bytes[at] = random(256);
        break;
      case 2:
        if (at + 8 <= bytes.length) new DataView(bytes.buffer).setBigUint64(at, numbers[random(numbers.length)], true);
        break;
      case 3:
        if (at + 4 <= bytes.length) new DataView(bytes.buffer).setUint32(at, Number(numbers[random(8)]), true);
        break;
      case 4:
        bytes = bytes.slice(0, at);
        break;
      case 5:
        bytes = splice(new Uint8Array(0), length);
        break;
      case 6:
        bytes = splice(bytes.slice(at, at + length), 0);
        break;
      case 7:
        bytes = splice(new TextEncoder().encode(texts[random(texts.length)]), random(6));
        break;
    }
  }
  return bytes;
}
