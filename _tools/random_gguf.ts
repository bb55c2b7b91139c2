/**
 * Writes a GGUF file with random weights in the full shape of SmolLM3-3B (or any other), for benchmarks without a checkpoint.
 * Every matrix has one type, norms are f32 ones, the embedding is also the head; the vocabulary is valid but means nothing.
 *
 *     deno run -W _tools/random_gguf.ts FILE [--type q4_0|q8_0|bf16] [--layers 36] [--hidden 2048] [--intermediate 11008] [--heads 16] [--kv-heads 4] [--vocab 128256]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { rowBytes } from "../engine/formats.ts";

/** Types of matrices that can be written. */
export const randomTypes = ["q4_0", "q8_0", "bf16"] as const;
/** One of {@link randomTypes}. */
export type RandomType = (typeof randomTypes)[number];

/** What is written. Names are those of Transformers' SmolLM3Config. */
export interface RandomModel {
  readonly type: RandomType;
  readonly numHiddenLayers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly vocabSize: number;
}

/** SmolLM3-3B with every matrix in q4_0: 1.7 GB. */
export const smollm3: RandomModel = {
  type: "q4_0",
  numHiddenLayers: 36,
  hiddenSize: 2048,
  intermediateSize: 11008,
  numAttentionHeads: 16,
  numKeyValueHeads: 4,
  vocabSize: 128256,
};

/** Ids of tensor types and of metadata types in a GGUF file. */
const TENSOR_TYPES = { f32: 0, q4_0: 2, q8_0: 8, bf16: 30 } as const;
const UINT32 = 4, INT32 = 5, FLOAT32 = 6, STRING = 8, ARRAY = 9;
const ALIGNMENT = 32;
/** Control tokens at the end of the vocabulary, as in Llama 3. */
const CONTROL_TOKENS = 256;

/** Grows a little-endian header. */
class Writer {
  #parts: Uint8Array<ArrayBuffer>[] = [];

  number(bytes: 4 | 8, set: (view: DataView) => void): this {
    const part = new Uint8Array(bytes);
    set(new DataView(part.buffer));
    this.#parts.push(part);
    return this;
  }
  u32(value: number): this {
    return this.number(4, (view) => view.setUint32(0, value, true));
  }
  u64(value: number): this {
    return this.number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  f32(value: number): this {
    return this.number(4, (view) => view.setFloat32(0, value, true));
  }
  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.#parts.push(bytes);
    return this;
  }
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await new Blob(this.#parts).arrayBuffer());
  }
}

/** The 256 characters that stand for bytes in GPT-2's vocabulary. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
}

/** Bytes, then pairs and triples of them, each the result of one merge, then control tokens. */
function vocabulary(size: number): { tokens: string[]; merges: string[] } {
  const tokens = byteCharacters(), merges: string[] = [];
  const bytes = tokens.slice();
  for (let left = 0; tokens.length < size - CONTROL_TOKENS; left++) {
    for (let right = 0; right < 256 && tokens.length < size - CONTROL_TOKENS; right++) {
      merges.push(`${tokens[left]} ${bytes[right]}`);
      tokens.push(tokens[left] + bytes[right]);
    }
  }
  for (let i = 0; i < CONTROL_TOKENS; i++) tokens.push(`<|reserved_special_token_${i}|>`);
  return { tokens, merges };
}

interface Tensor {
  readonly name: string;
  readonly type: keyof typeof TENSOR_TYPES;
  readonly rows: number;
  readonly cols: number;
}

function tensors(model: RandomModel): Tensor[] {
  const { type, hiddenSize, intermediateSize, numHiddenLayers, numAttentionHeads, numKeyValueHeads, vocabSize } = model;
  const kv = hiddenSize / numAttentionHeads * numKeyValueHeads;
  const norm = (name: string): Tensor => ({ name, type: "f32", rows: 1, cols: hiddenSize });
  const layer = (i: number): Tensor[] => [
    norm(`blk.${i}.attn_norm.weight`),
    { name: `blk.${i}.attn_q.weight`, type, rows: hiddenSize, cols: hiddenSize },
    { name: `blk.${i}.attn_k.weight`, type, rows: kv, cols: hiddenSize },
    { name: `blk.${i}.attn_v.weight`, type, rows: kv, cols: hiddenSize },
    { name: `blk.${i}.attn_output.weight`, type, rows: hiddenSize, cols: hiddenSize },
    norm(`blk.${i}.ffn_norm.weight`),
    { name: `blk.${i}.ffn_gate.weight`, type, rows: intermediateSize, cols: hiddenSize },
    { name: `blk.${i}.ffn_up.weight`, type, rows: intermediateSize, cols: hiddenSize },
    { name: `blk.${i}.ffn_down.weight`, type, rows: hiddenSize, cols: intermediateSize },
  ];
  return [
    { name: "token_embd.weight", type, rows: vocabSize, cols: hiddenSize },
    ...Array.from({ length: numHiddenLayers }, (_, i) => layer(i)).flat(),
    norm("output_norm.weight"),
  ];
}

const bytesOf = ({ type, rows, cols }: Tensor) => rows * rowBytes(type, cols);
const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

async function header(model: RandomModel): Promise<Uint8Array<ArrayBuffer>> {
  const { tokens, merges } = vocabulary(model.vocabSize);
  const firstControl = model.vocabSize - CONTROL_TOKENS;
  const numbers = {
    "smollm3.context_length": 65536,
    "smollm3.embedding_length": model.hiddenSize,
    "smollm3.block_count": model.numHiddenLayers,
    "smollm3.feed_forward_length": model.intermediateSize,
    "smollm3.attention.head_count": model.numAttentionHeads,
    "smollm3.attention.head_count_kv": model.numKeyValueHeads,
    "smollm3.rope.dimension_count": model.hiddenSize / model.numAttentionHeads,
    "smollm3.vocab_size": model.vocabSize,
    "tokenizer.ggml.bos_token_id": firstControl,
    "tokenizer.ggml.eos_token_id": firstControl + 1,
    "general.alignment": ALIGNMENT,
  };
  const floats = { "smollm3.attention.layer_norm_rms_epsilon": 1e-6, "smollm3.rope.freq_base": 5e6 };
  const strings = { "general.architecture": "smollm3", "general.name": "random weights", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe" };
  const lists = { "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges };
  const all = tensors(model);

  const out = new Writer();
  out.number(4, (view) => view.setUint32(0, 0x46554747, true)).u32(3).u64(all.length);
  out.u64([numbers, floats, strings, lists].reduce((sum, group) => sum + Object.keys(group).length, 1));
  for (const [key, value] of Object.entries(strings)) out.string(key).u32(STRING).string(value);
  for (const [key, value] of Object.entries(numbers)) out.string(key).u32(UINT32).u32(value);
  for (const [key, value] of Object.entries(floats)) out.string(key).u32(FLOAT32).f32(value);
  for (const [key, values] of Object.entries(lists)) {
    out.string(key).u32(ARRAY).u32(STRING).u64(values.length);
    for (const value of values) out.string(value);
  }
  out.string("tokenizer.ggml.token_type").u32(ARRAY).u32(INT32).u64(tokens.length);
  for (let id = 0; id < tokens.length; id++) out.u32(id < firstControl ? 1 : 3); // normal, control

  let offset = 0;
  for (const tensor of all) {
    const dims = tensor.rows === 1 ? [tensor.cols] : [tensor.cols, tensor.rows];
    out.string(tensor.name).u32(dims.length);
    for (const dim of dims) out.u64(dim);
    out.u32(TENSOR_TYPES[tensor.type]).u64(offset);
    offset = aligned(offset + bytesOf(tensor));
  }
  return await out.bytes();
}

/** Random blocks that every matrix is cut from; scales such that weights have a standard deviation of about 0.02, like a trained model's. */
function randomBlocks(type: RandomType): Uint8Array<ArrayBuffer> {
  const blockBytes = rowBytes(type, 32), blocks = 1 << 18;
  const words = new Uint32Array(blockBytes * blocks / 4);
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) { // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    words[i] = state ^= state << 5;
  }
  const bytes = new Uint8Array(words.buffer), view = new DataView(words.buffer);
  if (type === "bf16") {
    const halves = new Uint16Array(words.buffer), value = new Float32Array(1), bits = new Uint32Array(value.buffer), widest = 0.02 * Math.sqrt(3);
    for (let i = 0; i < halves.length; i++) {
      value[0] = (halves[i] / 0x8000 - 1) * widest;
      halves[i] = bits[0] >>> 16;
    }
    return bytes;
  }
  const scale = type === "q4_0" ? 0.02 / 4.6 : 0.02 / 74;
  const half = new DataView(new ArrayBuffer(2));
  half.setFloat16(0, scale, true);
  for (let block = 0; block < blocks; block++) view.setUint16(block * blockBytes, half.getUint16(0, true) - bytes[block * blockBytes + 2] % 64, true);
  return bytes;
}

/** Writes the whole file, a few megabytes at a time. */
export async function writeRandomGguf(path: string, model: RandomModel = smollm3): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  let position = 0;
  const write = (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
    position += bytes.length;
  };
  const pad = () => write(new Uint8Array(aligned(position) - position));

  write(await header(model));
  pad();
  const pool = randomBlocks(model.type), blockBytes = rowBytes(model.type, 32);
  let start = 0;
  for (const tensor of tensors(model)) {
    if (tensor.type === "f32") write(new Uint8Array(new Float32Array(tensor.cols).fill(1).buffer));
    for (let left = tensor.type === "f32" ? 0 : bytesOf(tensor); left > 0;) {
      const piece = pool.subarray(start, Math.min(pool.length, start + left));
      write(piece);
      left -= piece.length;
      start = (start + piece.length + 977 * blockBytes) % pool.length; // no two tensors alike
    }
    pad();
  }
}

if (import.meta.main) {
  const number = (value: string | undefined, otherwise: number) => value === undefined ? otherwise : Number(value);
  const { values, positionals: [path] } = parseArgs({
    allowPositionals: true,
    options: {
      type: { type: "string" },
      layers: { type: "string" },
      hidden: { type: "string" },
      intermediate: { type: "string" },
      heads: { type: "string" },
      "kv-heads": { type: "string" },
      vocab: { type: "string" },
    },
  });
  const type = randomTypes.find((type) => type === (values.type ?? smollm3.type));
  if (path === undefined || type === undefined) {
    console.error(`Usage: deno run -W _tools/random_gguf.ts FILE [--type ${randomTypes.join("|")}] [--layers N] ...`);
    Deno.exit(2);
  }
  await writeRandomGguf(path, {
    type,
    numHiddenLayers: number(values.layers, smollm3.numHiddenLayers),
    hiddenSize: number(values.hidden, smollm3.hiddenSize),
    intermediateSize: number(values.intermediate, smollm3.intermediateSize),
    numAttentionHeads: number(values.heads, smollm3.numAttentionHeads),
    numKeyValueHeads: number(values["kv-heads"], smollm3.numKeyValueHeads),
    vocabSize: number(values.vocab, smollm3.vocabSize),
  });
}
