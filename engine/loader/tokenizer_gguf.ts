/**
 * The tokenizer in the metadata of a GGUF file.
 *
 * @module
 */
import type { AddedToken, TokenizerSpec } from "../host.ts";
import { Fields } from "../json_fields.ts";
import { GgufStrings, type GgufValue } from "./gguf_metadata.ts";
import { ggufSplit } from "./split_expressions.ts";

/** `tokenizer.ggml.token_type`. */
const controlType = 3, userDefinedType = 4;
/** Vocabularies in which a whole piece is one token. llama.cpp leaves `smaug-bpe` out, but the tokenizers it stands for have the flag. */
const wholePieces = ["llama3", "llama-v3", "llama-bpe", "smaug-bpe"];
/** Vocabularies that begin a text when the file does not say. */
const beginning = ["llama3", "llama-v3", "llama-bpe"];

/**
 * @param metadata Values of the file by key.
 * @param file Its name, for messages.
 * @throws {SyntaxError} when the vocabulary is none of byte-level BPE, or its split is unknown.
 * @throws {TypeError} when a key is missing or of the wrong type.
 */
export function parseTokenizerGguf(metadata: ReadonlyMap<string, GgufValue>, file: string): TokenizerSpec {
  const fields = new Fields(Object.fromEntries(metadata), file);
  const model = fields.string("tokenizer.ggml.model");
  if (model !== "gpt2") throw new SyntaxError(`Cannot use ${file}: tokenizer.ggml.model must be gpt2 (byte-level BPE), got ${model}`);
  const pre = fields.string("tokenizer.ggml.pre", "default");
  const tokens = strings(fields, "tokenizer.ggml.tokens"), merges = strings(fields, "tokenizer.ggml.merges");
  const edge = (name: string, fallback: boolean) =>
    fields.boolean(`tokenizer.ggml.add_${name}_token`, fallback) ? fields.ids(`tokenizer.ggml.${name}_token_id`, []) : [];
  const split = ggufSplit(pre, file);
  return {
    // Hundreds of thousands of strings that nobody may ask for.
    get tokens() {
      return tokens.toArray();
    },
    get merges() {
      return merges.toArray();
    },
    packed: { tokens: tokens.bytes, merges: merges.bytes },
    addedTokens: readAddedTokens(fields, tokens),
    ignoreMerges: wholePieces.includes(pre),
    split: fields.boolean("tokenizer.ggml.add_space_prefix", false) ? [{ type: "prefixSpace" }, ...split] : split,
    prefix: edge("bos", beginning.includes(pre)),
    suffix: edge("eos", false),
  };
}

function strings(fields: Fields, key: string): GgufStrings {
  const value = fields.json[key];
  if (value === undefined) throw new TypeError(`Cannot read ${fields.file}: the key ${key} is missing, and without it a BPE vocabulary cannot be used`);
  if (!(value instanceof GgufStrings)) throw new TypeError(`Cannot read ${fields.file}: ${key} must be an array of strings`);
  return value;
}

function readAddedTokens(fields: Fields, tokens: GgufStrings): AddedToken[] {
  const key = "tokenizer.ggml.token_type";
  if (!fields.has(key)) return [];
  const types = fields.json[key];
  if (!ArrayBuffer.isView(types) || !("length" in types) || types.length !== tokens.length) {
    throw new TypeError(`Cannot read ${fields.file}: ${key} must be an array of ${tokens.length} numbers, one for each token`);
  }
  const added: AddedToken[] = [];
  (types as Int32Array).forEach((type, id) => {
    if (type !== controlType && type !== userDefinedType) return;
    added.push({ id, content: tokens.at(id), special: type === controlType, singleWord: false, lstrip: false, rstrip: false, normalized: false });
  });
  return added;
}
