/**
 * `tokenizer.json`, the format of Hugging Face's tokenizers, as far as byte-level BPE goes.
 *
 * @module
 */
import type { AddedToken, PreTokenizer, TokenizerSpec } from "../host.ts";
import { describe, Fields, isJsonObject, type JsonObject, parseJsonObject } from "../json_fields.ts";
import { namedSplit } from "./split_expressions.ts";

/** Ids may have holes, but not many more than there are tokens: a list of all ids is made. */
const maxHoles = 2 ** 20;

/**
 * @param text Content of the file.
 * @param file Its name, for messages.
 * @throws {SyntaxError} when it is not JSON, or a part of it is of a kind that byte-level BPE does not have; the message names the key.
 * @throws {TypeError} when a key is missing or of the wrong type.
 */
export function parseTokenizerJson(text: string, file: string): TokenizerSpec {
  const root = new Fields(parseJsonObject(text, file), file);
  const model = root.object("model");
  checkModel(model);
  if (root.has("normalizer") && !isEmptySequence(root.object("normalizer"), "normalizers")) throw unsupported(root.object("normalizer"), "normalizer");
  if (root.has("decoder")) checkDecoder(root.object("decoder"));
  const processor: Processor = { prefix: [], suffix: [] };
  if (root.has("post_processor")) readPostProcessor(root.object("post_processor"), processor);
  return {
    tokens: readVocabulary(model),
    merges: readMerges(model),
    addedTokens: root.has("added_tokens") ? items(root, "added_tokens").map(readAddedToken) : [],
    ignoreMerges: model.boolean("ignore_merges", false),
    split: readPreTokenizer(root.object("pre_tokenizer")),
    ...processor,
  };
}

function checkModel(model: Fields): void {
  const type = model.string("type", "BPE");
  if (type !== "BPE") throw new SyntaxError(`Cannot use ${model.file}: model.type must be BPE, got ${type}`);
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model.string(key, "") !== "") throw new SyntaxError(`Cannot use ${model.file}: model.${key} must be null in a byte-level BPE`);
  }
  if (model.boolean("byte_fallback", false)) throw new SyntaxError(`Cannot use ${model.file}: model.byte_fallback must be false in a byte-level BPE`);
}

function readVocabulary(model: Fields): string[] {
  const vocabulary = Object.entries(model.object("vocab").json);
  const most = vocabulary.length + maxHoles;
  let size = 0;
  for (const [token, id] of vocabulary) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= most) {
      throw new RangeError(
        `Cannot read ${model.file}: the id of token ${describe(token)} in model.vocab must be a whole number below ${most}, got ${describe(id)}`,
      );
    }
    size = Math.max(size, id + 1);
  }
  const tokens: string[] = new Array(size).fill("");
  for (const [token, id] of vocabulary) tokens[id as number] = token;
  return tokens;
}

/** Both spellings: `"a b"` and `["a", "b"]`. */
function readMerges(model: Fields): TokenizerSpec["merges"] {
  if (!model.has("merges")) {
    throw new TypeError(`Cannot read ${model.file}: the key model.merges is missing, and without merges a BPE vocabulary cannot be used`);
  }
  const merges = model.json.merges;
  const isPair = (merge: unknown) => Array.isArray(merge) && merge.length === 2 && typeof merge[0] === "string" && typeof merge[1] === "string";
  if (!Array.isArray(merges)) throw new TypeError(`Cannot read ${model.file}: model.merges must be a list, got ${describe(merges)}`);
  const wrong = merges.findIndex((merge) => typeof merge !== "string" && !isPair(merge));
  if (wrong >= 0) throw new TypeError(`Cannot read ${model.file}: model.merges[${wrong}] must be a string or two, got ${describe(merges[wrong])}`);
  return merges;
}

function readAddedToken(token: Fields): AddedToken {
  return {
    id: token.integer("id", undefined, { max: 2 ** 24 }),
    content: token.string("content"),
    special: token.boolean("special", false),
    singleWord: token.boolean("single_word", false),
    lstrip: token.boolean("lstrip", false),
    rstrip: token.boolean("rstrip", false),
    normalized: token.boolean("normalized", false),
  };
}

function readPreTokenizer(root: Fields): PreTokenizer[] {
  const stages: PreTokenizer[] = [];
  let isByteLevel = false;
  const read = (stage: Fields): void => {
    switch (stage.string("type")) {
      case "Sequence":
        return items(stage, "pretokenizers").forEach(read);
      case "Split":
        stages.push(readSplit(stage));
        return;
      case "Digits":
        stages.push({ type: "digits", individual: stage.boolean("individual_digits", false) });
        return;
      case "ByteLevel":
        isByteLevel = true;
        if (stage.boolean("add_prefix_space", true)) stages.push({ type: "prefixSpace" });
        if (stage.boolean("use_regex", true)) stages.push({ type: "gpt2" });
        return;
      default:
        throw unsupported(stage, "pre_tokenizer");
    }
  };
  read(root);
  if (!isByteLevel) throw new SyntaxError(`Cannot use ${root.file}: pre_tokenizer must have a stage of type ByteLevel`);
  return stages;
}

const behaviors = {
  Isolated: "isolated",
  Removed: "removed",
  MergedWithPrevious: "mergedWithPrevious",
  MergedWithNext: "mergedWithNext",
  Contiguous: "contiguous",
} as const;

function readSplit(stage: Fields): PreTokenizer {
  const source = stage.object("pattern");
  const pattern = source.has("Regex") ? source.string("Regex") : source.string("String").replace(/[\\^$.*+?()[\]{}|#&~-]/g, "\\$&");
  const behavior = stage.string("behavior"), invert = stage.boolean("invert", false);
  if (!Object.hasOwn(behaviors, behavior)) throw new SyntaxError(`Cannot use ${stage.file}: pre_tokenizer has the unknown behavior ${describe(behavior)}`);
  // The named ones match every character, so that removing what does not match changes nothing.
  const named = behavior === "Isolated" || (behavior === "Removed" && invert) ? namedSplit(pattern) : undefined;
  return named ?? { type: "regex", pattern, behavior: behaviors[behavior as keyof typeof behaviors], invert };
}

function checkDecoder(decoder: Fields): void {
  if (decoder.string("type") === "Sequence") return items(decoder, "decoders").forEach(checkDecoder);
  if (decoder.string("type") !== "ByteLevel") throw unsupported(decoder, "decoder");
}

/** What a post-processor does to one text. */
interface Processor {
  prefix: number[];
  suffix: number[];
  trimOffsets?: { addPrefixSpace: boolean };
}

function readPostProcessor(processor: Fields, into: Processor): void {
  switch (processor.string("type")) {
    case "Sequence":
      return items(processor, "processors").forEach((part) => readPostProcessor(part, into));
    case "ByteLevel":
      if (processor.boolean("trim_offsets", true)) into.trimOffsets = { addPrefixSpace: processor.boolean("add_prefix_space", true) };
      return;
    case "TemplateProcessing":
      return readTemplate(processor, into);
    default:
      throw unsupported(processor, "post_processor");
  }
}

/** `[{ SpecialToken: { id } }, { Sequence: { id: "A" } }, ...]`, the ids of special tokens beside it. */
function readTemplate(processor: Fields, into: Processor): void {
  const ids: { prefix: number[]; suffix: number[] } = { prefix: [], suffix: [] };
  let place: "prefix" | "suffix" = "prefix";
  for (const item of items(processor, "single")) {
    if (item.has("Sequence")) place = "suffix";
    else ids[place].push(...processor.object("special_tokens").object(item.object("SpecialToken").string("id")).ids("ids"));
  }
  into.prefix = [...ids.prefix, ...into.prefix];
  into.suffix = [...into.suffix, ...ids.suffix];
}

/** The objects of a list. */
function items(parent: Fields, key: string): Fields[] {
  const list = parent.json[key];
  if (!Array.isArray(list)) throw new TypeError(`Cannot read ${parent.file}: ${key} must be a list, got ${describe(list)}`);
  return list.map((item, i) => {
    if (!isJsonObject(item)) throw new TypeError(`Cannot read ${parent.file}: ${key}[${i}] must be an object, got ${describe(item)}`);
    return new Fields(item as JsonObject, parent.file, `${key}[${i}].`);
  });
}

function isEmptySequence(part: Fields, key: string): boolean {
  return part.string("type") === "Sequence" && Array.isArray(part.json[key]) && part.json[key].length === 0;
}

function unsupported(part: Fields, key: string): SyntaxError {
  return new SyntaxError(`Cannot use ${part.file}: ${key} of type ${part.string("type")} is not one of a byte-level BPE`);
}
