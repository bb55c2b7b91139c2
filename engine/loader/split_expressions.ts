/**
 * Split expressions by name: which ones are written by hand in the tokenizer, and what the names in GGUF files stand for.
 *
 * @module
 */
import type { PreTokenizer } from "../host.ts";

/** The expression of Llama 3, matches isolated. */
const llama3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/** The same with digits apart, of Qwen 2. */
const qwen2 = llama3.replace("\\p{N}{1,3}", "\\p{N}");
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const spellings = new Map<string, PreTokenizer>([
  [llama3, { type: "llama3" }],
  [llama3.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"), { type: "llama3" }],
  [gpt2, { type: "gpt2" }],
  ["'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", { type: "gpt2" }],
]);

/** @returns The hand-written split that an expression (isolated matches) stands for. */
export function namedSplit(pattern: string): PreTokenizer | undefined {
  return spellings.get(pattern);
}

const isolated = (pattern: string): PreTokenizer => ({ type: "regex", pattern, behavior: "isolated", invert: false });
const llama3Stages: readonly PreTokenizer[] = [{ type: "llama3" }];
const gpt2Stages: readonly PreTokenizer[] = [{ type: "gpt2" }];
const digitStages: readonly PreTokenizer[] = [{ type: "digits", individual: true }, { type: "gpt2" }];

/** Stages by `tokenizer.ggml.pre`, as llama.cpp knows them. Source: llama-vocab.cpp. */
const ggufStages = new Map<string, readonly PreTokenizer[]>([
  ...["llama3", "llama-v3", "llama-bpe", "smaug-bpe", "dbrx"].map((name) => [name, llama3Stages] as const),
  ...["gpt-2", "phi-2", "jina-es", "jina-de", "roberta-bpe", "gigachat", "mpt", "olmo", "jais", "default"].map((name) => [name, gpt2Stages] as const),
  ...["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"].map((name) => [name, digitStages] as const),
  ...["qwen2", "stablelm2", "hunyuan", "solar-open"].map((name) => [name, [isolated(qwen2)]] as const),
]);

/**
 * @param name Value of `tokenizer.ggml.pre`.
 * @throws {SyntaxError} when it is unknown.
 */
export function ggufSplit(name: string, file: string): readonly PreTokenizer[] {
  const stages = ggufStages.get(name);
  if (stages === undefined) throw new SyntaxError(`Cannot use ${file}: tokenizer.ggml.pre must be one of ${[...ggufStages.keys()].join(", ")}, got ${name}`);
  return stages;
}
