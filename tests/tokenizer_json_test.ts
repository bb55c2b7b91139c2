/** `tokenizer.json` in all its spellings, and what is wrong with others. */
import { assertEquals, assertThrows } from "@std/assert";
import { parseTokenizerJson } from "../engine/loader/tokenizer_json.ts";
import { GgufStrings, type GgufValue } from "../engine/loader/gguf_metadata.ts";
import { parseTokenizerGguf } from "../engine/loader/tokenizer_gguf.ts";
import { tokenizerSpec } from "./tokenizers.ts";

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const base = { model: { type: "BPE", vocab: { a: 0, b: 1, ab: 3 }, merges: ["a b"] as unknown }, pre_tokenizer: byteLevel as unknown };
const parse = (changes: Record<string, unknown> = {}, model: Record<string, unknown> = {}) =>
  parseTokenizerJson(JSON.stringify({ ...base, ...changes, model: { ...base.model, ...model } }), "folder/tokenizer.json");

Deno.test("the least that there can be", () => {
  assertEquals(parse(), {
    tokens: ["a", "b", "", "ab"],
    merges: ["a b"],
    addedTokens: [],
    ignoreMerges: false,
    split: [{ type: "gpt2" }],
    prefix: [],
    suffix: [],
  });
});

Deno.test("both spellings of merges", () => {
  assertEquals(parse({}, { merges: [["a", "b"]], ignore_merges: true }).merges, [["a", "b"]]);
});

Deno.test("added tokens and their flags", () => {
  const token = { id: 4, content: "<x>", single_word: true, lstrip: true, rstrip: true, normalized: true, special: true };
  assertEquals(parse({ added_tokens: [token] }).addedTokens, [
    { id: 4, content: "<x>", singleWord: true, lstrip: true, rstrip: true, normalized: true, special: true },
  ]);
});

Deno.test("stages of pre-tokenization", async () => {
  const split = (...pretokenizers: unknown[]) => parse({ pre_tokenizer: { type: "Sequence", pretokenizers } }).split;
  const regex = (pattern: unknown, behavior: string, invert = false) => ({ type: "Split", pattern, behavior, invert });
  const only = { ...byteLevel, use_regex: false };
  assertEquals(split({ type: "Digits", individual_digits: true }, byteLevel), [{ type: "digits", individual: true }, { type: "gpt2" }]);
  assertEquals(split({ ...byteLevel, add_prefix_space: true }), [{ type: "prefixSpace" }, { type: "gpt2" }]);
  assertEquals(split(regex({ String: "a.b" }, "MergedWithNext", true), only), [{ type: "regex", pattern: "a\\.b", behavior: "mergedWithNext", invert: true }]);
  assertEquals(split(regex({ Regex: "x" }, "Removed"), only), [{ type: "regex", pattern: "x", behavior: "removed", invert: false }]);
  assertEquals((await tokenizerSpec("llama3")).split, [{ type: "llama3" }]);
  assertEquals((await tokenizerSpec("smollm2")).split, [{ type: "digits", individual: true }, { type: "gpt2" }]);
});

Deno.test("post-processors: what goes before and after, and trimmed offsets", () => {
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const template = {
    type: "TemplateProcessing",
    single: [special("<s>"), { Sequence: { id: "A", type_id: 0 } }, special("</s>")],
    special_tokens: { "<s>": { id: "<s>", ids: [7], tokens: ["<s>"] }, "</s>": { id: "</s>", ids: [8, 9], tokens: ["</s>", "x"] } },
  };
  const spec = parse({ post_processor: { type: "Sequence", processors: [{ ...byteLevel, add_prefix_space: true }, template] } });
  assertEquals([spec.prefix, spec.suffix, spec.trimOffsets], [[7], [8, 9], { addPrefixSpace: true }]);
  assertEquals(parse({ post_processor: { ...byteLevel, trim_offsets: false } }).trimOffsets, undefined);
});

Deno.test("what is wrong is named: file, key, and what it should be", () => {
  const fails = (changes: Record<string, unknown>, model: Record<string, unknown>, kind: new () => Error, message: string) =>
    assertThrows(() => parse(changes, model), kind, message);
  assertThrows(() => parseTokenizerJson("{", "t.json"), SyntaxError, "Cannot read t.json");
  assertThrows(() => parseTokenizerJson("[]", "t.json"), TypeError, "Cannot read t.json");
  assertThrows(() => parseTokenizerJson("{}", "t.json"), TypeError, "the key model is missing");
  fails({}, { merges: undefined }, TypeError, "Cannot read folder/tokenizer.json: the key model.merges is missing");
  fails({}, { merges: ["a b", 5] }, TypeError, "model.merges[1] must be a string or two, got 5");
  fails({}, { merges: {} }, TypeError, "model.merges must be a list");
  fails({}, { type: "Unigram" }, SyntaxError, "model.type must be BPE, got Unigram");
  fails({}, { vocab: { a: -1 } }, RangeError, 'the id of token "a" in model.vocab');
  fails({}, { vocab: { a: 2 ** 40 } }, RangeError, "must be a whole number below");
  fails({}, { byte_fallback: true }, SyntaxError, "model.byte_fallback");
  fails({}, { end_of_word_suffix: "</w>" }, SyntaxError, "model.end_of_word_suffix");
  fails({ normalizer: { type: "NFC" } }, {}, SyntaxError, "normalizer of type NFC");
  fails({ pre_tokenizer: { type: "Metaspace" } }, {}, SyntaxError, "pre_tokenizer of type Metaspace");
  fails({ pre_tokenizer: { type: "Digits" } }, {}, SyntaxError, "must have a stage of type ByteLevel");
  fails({ pre_tokenizer: undefined }, {}, TypeError, "the key pre_tokenizer is missing");
  fails({ decoder: { type: "WordPiece" } }, {}, SyntaxError, "decoder of type WordPiece");
  fails({ post_processor: { type: "BertProcessing" } }, {}, SyntaxError, "post_processor of type BertProcessing");
  fails({ added_tokens: [{ id: "x", content: "y" }] }, {}, TypeError, "added_tokens[0].id");
});

/** Strings as they lie in a GGUF file. */
function packed(strings: readonly string[]): GgufStrings {
  const encoded = strings.map((string) => new TextEncoder().encode(string)), starts = new Uint32Array(strings.length + 1);
  encoded.forEach((bytes, i) => starts[i + 1] = starts[i] + 8 + bytes.length);
  const all = new Uint8Array(starts[strings.length]);
  encoded.forEach((bytes, i) => {
    new DataView(all.buffer).setBigUint64(starts[i], BigInt(bytes.length), true);
    all.set(bytes, starts[i] + 8);
  });
  return new GgufStrings(all, starts);
}

const metadata = (changes: Record<string, GgufValue | undefined> = {}) => {
  const all: Record<string, GgufValue | undefined> = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": packed(["<|end|>", "a", "b", "ab", "<t>"]),
    "tokenizer.ggml.token_type": Int32Array.of(3, 1, 1, 1, 4),
    "tokenizer.ggml.merges": packed(["a b"]),
    "tokenizer.ggml.bos_token_id": 0,
    ...changes,
  };
  return new Map(Object.entries(all).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined));
};

Deno.test("GGUF metadata: control and user-defined tokens, splits by name, beginning of text", () => {
  const spec = parseTokenizerGguf(metadata(), "m.gguf");
  assertEquals(spec.addedTokens.map(({ id, content, special }) => [id, content, special]), [[0, "<|end|>", true], [4, "<t>", false]]);
  assertEquals([spec.split, spec.ignoreMerges, spec.prefix], [[{ type: "digits", individual: true }, { type: "gpt2" }], false, []]);
  assertEquals(parseTokenizerGguf(metadata({ "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.add_eos_token": false }), "m.gguf").prefix, [0]);
  const smaug = parseTokenizerGguf(metadata({ "tokenizer.ggml.pre": "smaug-bpe" }), "m.gguf");
  assertEquals([smaug.split, smaug.ignoreMerges, smaug.prefix], [[{ type: "llama3" }], true, []]);
  assertEquals(parseTokenizerGguf(metadata({ "tokenizer.ggml.pre": "llama-bpe" }), "m.gguf").prefix, [0]);
  assertEquals(parseTokenizerGguf(metadata({ "tokenizer.ggml.pre": undefined }), "m.gguf").split, [{ type: "gpt2" }]);
});

Deno.test("GGUF metadata: what is wrong is named", () => {
  const fails = (changes: Record<string, GgufValue | undefined>, kind: new () => Error, message: string) =>
    assertThrows(() => parseTokenizerGguf(metadata(changes), "m.gguf"), kind, message);
  fails({ "tokenizer.ggml.model": "llama" }, SyntaxError, "tokenizer.ggml.model must be gpt2 (byte-level BPE), got llama");
  fails({ "tokenizer.ggml.pre": "what" }, SyntaxError, "got what");
  fails({ "tokenizer.ggml.merges": undefined }, TypeError, "the key tokenizer.ggml.merges is missing");
  fails({ "tokenizer.ggml.tokens": Int32Array.of(1) }, TypeError, "tokenizer.ggml.tokens must be an array of strings");
  fails({ "tokenizer.ggml.token_type": Int32Array.of(1) }, TypeError, "tokenizer.ggml.token_type must be an array of 5 numbers");
});
