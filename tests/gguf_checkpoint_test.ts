import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { parseConfig } from "../engine/config.ts";
import { type Checkpoint, openCheckpoint } from "../engine/loader/checkpoint.ts";
import { transformersName } from "../engine/loader/gguf_checkpoint.ts";
import { configJsonFromGguf, type GgufTensors } from "../engine/loader/gguf_config.ts";
import type { GgufValue } from "../engine/loader/gguf_metadata.ts";
import { resolveSource } from "../engine/loader/source.ts";
import { ggufBytes, type TensorInfo, type Value } from "./gguf_bytes.ts";
import { fixturePath } from "./load_model.ts";

const sizes = {
  context_length: 64,
  embedding_length: 64,
  block_count: 4,
  feed_forward_length: 96,
  "attention.head_count": 4,
  "attention.head_count_kv": 2,
  "attention.layer_norm_rms_epsilon": Math.fround(1e-6),
};
const embeddings: GgufTensors = new Map([["token_embd.weight", { storageType: "f32", shape: [128, 64] }]]);
function configOf(arch: string, keys: Record<string, GgufValue | undefined> = {}, tensors = embeddings) {
  const all: Record<string, GgufValue | undefined> = { ...sizes, ...keys }, metadata = new Map<string, GgufValue>([["general.architecture", arch]]);
  for (const [key, value] of Object.entries(all)) if (value !== undefined) metadata.set(`${arch}.${key}`, value);
  return parseConfig(configJsonFromGguf(metadata, tensors, "m.gguf"), "m.gguf");
}

Deno.test("metadata of smollm3 and llama become the configurations of their classes", () => {
  const config = configOf("smollm3", { "rope.freq_base": 5e6, "rope.dimension_count": 16 });
  assertEquals([config.noRopeLayers, config.rope, config.rmsNormEps], [[1, 1, 1, 0], { ropeType: "default", ropeTheta: 5e6 }, 1e-6]);
  assertEquals([config.vocabSize, config.headDim, config.numKeyValueHeads, config.tieWordEmbeddings, config.attentionBias], [128, 16, 2, true, false]);
  assertEquals([config.bosTokenId, config.eosTokenIds, config.padTokenId, config.dtype], [null, [], null, "float32"]);
  const llama = configOf("llama", { "attention.head_count_kv": undefined, "attention.key_length": 32, "attention.value_length": 32 });
  assertEquals([llama.noRopeLayers, llama.numKeyValueHeads, llama.headDim, llama.rope.ropeTheta], [[1, 1, 1, 1], 4, 32, 10000]);
});

Deno.test("heads and biases follow the tensors that are there", () => {
  const shape = [128, 64], tensors: [string, { storageType: "f32" | "bf16"; shape: number[] }][] = [["token_embd.weight", { storageType: "bf16", shape }]];
  for (const name of ["output.weight", "blk.0.attn_q.bias", "blk.0.ffn_gate.bias"]) tensors.push([name, { storageType: "f32", shape }]);
  const config = configOf("llama", {}, new Map(tensors));
  assertEquals([config.tieWordEmbeddings, config.attentionBias, config.mlpBias, config.dtype], [false, true, true, "bfloat16"]);
});

Deno.test("rope scaling: linear, and YaRN with llama.cpp's attention factor", () => {
  const scaling = (keys: Record<string, GgufValue>) => configOf("smollm3", keys).rope;
  assertEquals(scaling({ "rope.scaling.type": "linear", "rope.scaling.factor": 2 }), { ropeType: "linear", ropeTheta: 10000, factor: 2 });
  const yarn = { "rope.scaling.type": "yarn", "rope.scaling.factor": 2, "rope.scaling.original_context_length": 32 };
  const { originalMaxPositionEmbeddings, attentionFactor } = scaling(yarn);
  assertEquals([originalMaxPositionEmbeddings, attentionFactor], [32, undefined]);
  assertEquals(scaling({ ...yarn, "rope.scaling.attn_factor": 0.5, "rope.scaling.yarn_beta_fast": 16 }).attentionFactor, 0.5 * (0.1 * Math.log(2) + 1));
  assertEquals(scaling({ ...yarn, "rope.scaling.yarn_beta_fast": 16 }).betaFast, 16);
});

Deno.test("what is missing or not supported is refused; the message names the key", () => {
  // deno-lint-ignore no-explicit-any -- constructors of errors
  const cases: [string, Record<string, GgufValue | undefined>, any, string][] = [
    ["gpt2", {}, RangeError, 'general.architecture must be smollm3 or llama, got "gpt2"'],
    ["smollm3", { embedding_length: undefined }, TypeError, "the key smollm3.embedding_length is missing"],
    ["smollm3", { "attention.head_count": 0 }, RangeError, "smollm3.attention.head_count must be between 1"],
    ["smollm3", { "attention.head_count": 3, "attention.head_count_kv": 1 }, RangeError, "head_dim must be even"],
    ["smollm3", { "attention.head_count_kv": 3 }, RangeError, "num_attention_heads (4) must be a multiple of num_key_value_heads (3)"],
    ["llama", { expert_count: 8 }, RangeError, "llama.expert_count is not 0: mixtures of experts are not supported"],
    ["llama", { "rope.dimension_count": 8 }, RangeError, "llama.rope.dimension_count must be the head size 16, got 8"],
    ["llama", { "rope.scaling.type": "longrope", "rope.scaling.factor": 2 }, RangeError, "llama.rope.scaling.type must be none, linear or yarn"],
    ["llama", { block_count: 1e9 }, RangeError, "num_hidden_layers must be between 1 and 4096"],
    ["llama", { feed_forward_length: Int32Array.of(1, 2) }, TypeError, "llama.feed_forward_length must be a whole number"],
  ];
  for (const [arch, keys, errorClass, message] of cases) assertThrows(() => configOf(arch, keys), errorClass, message);
  assertThrows(() => configOf("llama", {}, new Map()), TypeError, "Cannot read m.gguf: it has no matrix token_embd.weight");
});

Deno.test("names of tensors are those of Transformers", () => {
  assertEquals(transformersName("token_embd.weight"), "model.embed_tokens.weight");
  assertEquals(transformersName("output.weight"), "lm_head.weight");
  assertEquals(transformersName("blk.12.attn_q.bias"), "model.layers.12.self_attn.q_proj.bias");
  assertEquals(transformersName("blk.0.ffn_norm.weight"), "model.layers.0.post_attention_layernorm.weight");
  for (const name of ["rope_freqs.weight", "blk.0.constructor.weight", "attn_q.weight", "blk.0.output.weight", "x"]) {
    assertEquals(transformersName(name), null, name);
  }
});

/** Writes a llama of no layers worth running, and opens it. */
async function withGguf(
  metadata: [string, Value][],
  tensors: TensorInfo[],
  floats: Float32Array,
  run: (open: () => Promise<Checkpoint>) => Promise<unknown>,
): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  const keys = Object.entries(sizes).map(([key, value]): [string, Value] => [`llama.${key}`, Number.isInteger(value) ? { u32: value } : { f32: value }]);
  const bytes = ggufBytes({ metadata: [["general.architecture", { string: "llama" }], ...keys, ...metadata], tensors, dataBytes: floats.byteLength });
  bytes.set(new Uint8Array(floats.buffer), bytes.length - floats.byteLength);
  try {
    await Deno.writeFile(path, bytes);
    await run(async () => await openCheckpoint(await resolveSource(path)));
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("rope_freqs.weight gives the divisors of the frequencies", async () => {
  const list = (length: number): TensorInfo[] => [
    { name: "rope_freqs.weight", dimensions: [BigInt(length)], type: 0, offset: 0n },
    { name: "token_embd.weight", dimensions: [64n, 2n], type: 0, offset: 32n },
  ];
  const factors = Float32Array.from({ length: 8 + 128 }, (_, i) => i + 1);
  await withGguf([], list(8), factors, async (open) => {
    const checkpoint = await open();
    assertEquals(checkpoint.config.rope.freqFactors, [1, 2, 3, 4, 5, 6, 7, 8]);
    checkpoint.close();
  });
  await withGguf([], list(4), factors, (open) => assertRejects(open, TypeError, "rope_freqs.weight must be f32 [8], got f32 [4]"));
  factors[3] = 0;
  await withGguf([], list(8), factors, (open) => assertRejects(open, RangeError, "rope_freqs.weight must have values above 0"));
});

Deno.test("an answer ends at the ids of the metadata and at the control tokens that llama.cpp knows", async () => {
  const strings = (...texts: string[]): Value => ({ array: [8, texts.map((string) => ({ string }))] });
  const metadata: [string, Value][] = [
    ["tokenizer.ggml.tokens", strings("a", "<|eot_id|>", "<|im_end|>", "<|end_of_text|>", "<s>")],
    ["tokenizer.ggml.token_type", { array: [5, [1, 3, 1, 4, 3].map((i32) => ({ i32 }))] }],
    ["tokenizer.ggml.eos_token_id", { u32: 4 }],
    ["tokenizer.ggml.bos_token_id", { u32: 99 }],
  ];
  await withGguf(metadata, [{ name: "token_embd.weight", dimensions: [64n, 2n], type: 0, offset: 0n }], new Float32Array(128), async (open) => {
    const checkpoint = await open();
    assertEquals(checkpoint.generationConfig, { bos_token_id: 99, eos_token_id: [4, 1, 3], pad_token_id: null });
    assertEquals(checkpoint.tokenizer.config, { bos_token: null, eos_token: "<s>", pad_token: null, unk_token: null });
    checkpoint.close();
  });
});

Deno.test("the trained tiny model has the same configuration as a GGUF file", async () => {
  const gguf = await openCheckpoint(await resolveSource(fixturePath("gguf/smollm3-tiny-Q4_K_M.gguf"))),
    folder = await openCheckpoint(await resolveSource("embedded"));
  assertEquals({ ...gguf.config, dtype: "bfloat16" }, folder.config);
  assertEquals([...gguf.tensors.keys()].sort(), [...folder.tensors.keys()].sort());
  for (const [name, { shape }] of folder.tensors) assertEquals(gguf.tensors.get(name)!.shape, shape, name);
  assert(gguf.tensors.get("model.layers.3.self_attn.k_proj.weight")!.interleavedHeadRows === 64);
  gguf.close();
  folder.close();
});
