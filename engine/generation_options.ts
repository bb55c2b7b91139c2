/**
 * The options of generation: their names, which are those of Transformers v5 in camelCase, and what each must be.
 * Source: configuration_utils.py of transformers/generation.
 *
 * @module
 */

/** Options of generation. Everything may be left out; `null` means the same as leaving it out. */
export interface GenerationOptions {
  /** Most tokens of prompt and answer together. `maxNewTokens` wins over it. */
  maxLength?: number | null;
  /** Most tokens of the answer. Neither given: 20. */
  maxNewTokens?: number | null;
  /** Fewest tokens of prompt and answer together; the end-of-text tokens are impossible before. */
  minLength?: number | null;
  /** Fewest tokens of the answer. */
  minNewTokens?: number | null;
  /** Longest time to generate, in seconds, checked after each token. */
  maxTime?: number | null;
  /** Texts that end a sequence once its text contains one; they stay in the output. */
  stopStrings?: string | readonly string[] | null;

  /** Draw tokens instead of taking the most likely one. */
  doSample?: boolean | null;
  /** Key of the random generator: same seed, same text. Drawn at random when left out. */
  seed?: number | bigint | null;
  /** Answers to each prompt. Default 1. */
  numReturnSequences?: number | null;

  /** Logits are divided by it: below 1 likelier tokens become likelier still. Default 1. */
  temperature?: number | null;
  /** Draw from the likeliest tokens only; 0: from all. Default 50. */
  topK?: number | null;
  /** Draw from the likeliest tokens that make up this probability. Default 1. */
  topP?: number | null;
  /** Draw from tokens of at least this probability, relative to the likeliest. Default none. */
  minP?: number | null;
  /** Draw from the likeliest tokens that make up this part of the entropy. Default none. */
  topH?: number | null;
  /** Draw from the most typical tokens that make up this probability. Default 1. */
  typicalP?: number | null;
  /** Draw from tokens of at least this probability. Default 0. */
  epsilonCutoff?: number | null;
  /** Draw from tokens of at least a probability that falls with the entropy. Default 0. */
  etaCutoff?: number | null;

  /** Above 1: tokens of prompt and answer become less likely. Default 1. */
  repetitionPenalty?: number | null;
  /** Above 1: tokens of the prompt become likelier. Default 1. */
  encoderRepetitionPenalty?: number | null;
  /** No run of so many tokens comes twice; 0: no limit. Default 0. */
  noRepeatNgramSize?: number | null;
  /** No run of so many tokens of the prompt comes again; 0: no limit. Default 0. */
  encoderNoRepeatNgramSize?: number | null;
  /** Sequences of tokens that must not come. */
  badWordsIds?: readonly (readonly number[])[] | null;
  /** Pairs of token ids and the value that is added to the logit of their last token. */
  sequenceBias?: readonly (readonly [readonly number[], number])[] | null;
  /** Tokens that must not come. */
  suppressTokens?: readonly number[] | null;
  /** Tokens that the answer must not begin with. */
  beginSuppressTokens?: readonly number[] | null;
  /** First token of an answer to a prompt of one token. */
  forcedBosTokenId?: number | null;
  /** Last token where `maxLength` is reached. */
  forcedEosTokenId?: number | readonly number[] | null;
  /** `[start, factor]`: from `start` new tokens on, end-of-text becomes likelier by `factor` to the power of the tokens since. */
  exponentialDecayLengthPenalty?: readonly [number, number] | null;
  /** Replace NaN and infinities among the logits. Default false. */
  removeInvalidValues?: boolean | null;
  /** Turn processed logits into log probabilities. Default false. */
  renormalizeLogits?: boolean | null;

  /** Tokens that end an answer; an empty list: none. */
  eosTokenId?: number | readonly number[] | null;
  /** Token that fills up rows. Default: the first that ends an answer. */
  padTokenId?: number | null;
  /** Token that begins a text. */
  bosTokenId?: number | null;

  /** Return a record with `scores` and `logits` where asked for. */
  returnDictInGenerate?: boolean | null;
  /** Return the processed logits of every step as `scores`. */
  outputScores?: boolean | null;
  /** Return the raw logits of every step as `logits`. */
  outputLogits?: boolean | null;

  /** Keep keys and values; always true. */
  useCache?: boolean | null;
  /** Beams of a beam search; only 1 is supported yet. */
  numBeams?: number | null;
  /** Groups of beams; only 1 is supported yet. */
  numBeamGroups?: number | null;
  /** When a beam search ends; for beam search. */
  earlyStopping?: boolean | "never" | null;
  /** Exponent of the length in scores; for beam search. */
  lengthPenalty?: number | null;
  /** Not supported yet. */
  diversityPenalty?: number | null;
  /** Contrastive search; not supported yet. */
  penaltyAlpha?: number | null;
  /** Not supported yet. */
  dolaLayers?: "low" | "high" | readonly number[] | null;
  /** Not supported yet. */
  constraints?: readonly unknown[] | null;
  /** Not supported yet. */
  forceWordsIds?: readonly unknown[] | null;
  /** Classifier-free guidance; only 1 is supported yet. */
  guidanceScale?: number | null;
  /** Not supported yet. */
  tokenHealing?: boolean | null;
  /** Not supported yet. */
  watermarkingConfig?: object | null;
  /** Not supported yet. */
  lowMemory?: boolean | null;
  /** Prompt lookup; not supported yet. */
  promptLookupNumTokens?: number | null;
  /** For prompt lookup. */
  maxMatchingNgramSize?: number | null;
  /** Not supported yet. */
  isAssistant?: boolean | null;
  /** For assisted generation. */
  numAssistantTokens?: number | null;
  /** For assisted generation. */
  numAssistantTokensSchedule?: "constant" | "heuristic" | "heuristic_transient" | null;
  /** For assisted generation. */
  assistantConfidenceThreshold?: number | null;
  /** Not supported yet. */
  assistantEarlyExit?: number | null;
  /** For assisted generation. */
  assistantLookbehind?: number | null;
  /** For assisted generation. */
  targetLookbehind?: number | null;
  /** Kind of KV cache: there is one, which takes the place of `dynamic`. */
  cacheImplementation?: string | null;
  /** Not supported yet. */
  cacheConfig?: object | null;
  /** Not supported yet. */
  returnLegacyCache?: boolean | null;
  /** Prompts are computed in chunks in any case; not supported yet. */
  prefillChunkSize?: number | null;
  /** Not supported yet. */
  outputAttentions?: boolean | null;
  /** Not supported yet. */
  outputHiddenStates?: boolean | null;
  /** For encoder-decoder models; not supported. */
  decoderStartTokenId?: number | null;
  /** For PyTorch; without effect. */
  compileConfig?: object | null;
  /** For PyTorch; without effect. */
  disableCompile?: boolean | null;
}

/** Name of an option. */
export type GenerationKey = keyof GenerationOptions;

type Check = (value: unknown) => boolean;
const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value);
const isBoolean: Check = (value) => typeof value === "boolean";
const isObject: Check = (value) => typeof value === "object";
const isString: Check = (value) => typeof value === "string";
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isListOf = (check: Check): Check => (value) => Array.isArray(value) && value.every(check);
const isIds = isListOf(isCount);
const either = (...checks: Check[]): Check => (value) => checks.some((check) => check(value));
const [number, boolean, object, string, count]: [string, Check][] = [
  ["a number", isNumber],
  ["true or false", isBoolean],
  ["an object", isObject],
  ["a string", isString],
  ["a whole number from 0 up", isCount],
];
const ids: [string, Check] = ["a list of token ids", isIds];
const idOrIds: [string, Check] = ["a token id or a list of them", either(isCount, isIds)];
const isSequence: Check = (value) => isIds(value) && (value as unknown[]).length > 0;
const words: [string, Check] = ["a list of lists of token ids, none of them empty", isListOf(isSequence)];

/** What each option must be. */
const kinds: Record<GenerationKey, [string, Check]> = {
  maxLength: count,
  maxNewTokens: count,
  minLength: count,
  minNewTokens: count,
  maxTime: number,
  stopStrings: ["a string or a list of strings", either(isString, isListOf(isString))],
  doSample: boolean,
  seed: ["a whole number", (value) => typeof value === "bigint" || Number.isSafeInteger(value)],
  numReturnSequences: count,
  temperature: number,
  topK: count,
  topP: number,
  minP: number,
  topH: number,
  typicalP: number,
  epsilonCutoff: number,
  etaCutoff: number,
  repetitionPenalty: number,
  encoderRepetitionPenalty: number,
  noRepeatNgramSize: count,
  encoderNoRepeatNgramSize: count,
  badWordsIds: words,
  sequenceBias: ["a list of [token ids, bias]", isListOf((pair) => Array.isArray(pair) && pair.length === 2 && isSequence(pair[0]) && isNumber(pair[1]))],
  suppressTokens: ids,
  beginSuppressTokens: ids,
  forcedBosTokenId: count,
  forcedEosTokenId: idOrIds,
  exponentialDecayLengthPenalty: ["[start, factor]", (value) => isListOf(isNumber)(value) && (value as number[]).length === 2],
  removeInvalidValues: boolean,
  renormalizeLogits: boolean,
  eosTokenId: idOrIds,
  padTokenId: ["a token id", (value) => Number.isSafeInteger(value)],
  bosTokenId: count,
  returnDictInGenerate: boolean,
  outputScores: boolean,
  outputLogits: boolean,
  useCache: boolean,
  numBeams: count,
  numBeamGroups: count,
  earlyStopping: ['true, false or "never"', (value) => isBoolean(value) || value === "never"],
  lengthPenalty: number,
  diversityPenalty: number,
  penaltyAlpha: number,
  dolaLayers: ['"low", "high" or a list of layers', either(isString, isIds)],
  constraints: object,
  forceWordsIds: object,
  guidanceScale: number,
  tokenHealing: boolean,
  watermarkingConfig: object,
  lowMemory: boolean,
  promptLookupNumTokens: count,
  maxMatchingNgramSize: count,
  isAssistant: boolean,
  numAssistantTokens: count,
  numAssistantTokensSchedule: string,
  assistantConfidenceThreshold: number,
  assistantEarlyExit: count,
  assistantLookbehind: count,
  targetLookbehind: count,
  cacheImplementation: string,
  cacheConfig: object,
  returnLegacyCache: boolean,
  prefillChunkSize: count,
  outputAttentions: boolean,
  outputHiddenStates: boolean,
  decoderStartTokenId: count,
  compileConfig: object,
  disableCompile: boolean,
};

/** Every option's name. */
export const generationKeys = Object.keys(kinds) as GenerationKey[];

/** Options that are given: none is null. */
export type GivenOptions = { readonly [K in GenerationKey]?: NonNullable<GenerationOptions[K]> };

/**
 * Checks names and types and drops what is null or undefined.
 *
 * @throws {TypeError} when an option is unknown or of the wrong type; the message names it.
 * @throws {RangeError} when a number that counts something is negative.
 */
export function checkOptions(options: GenerationOptions): GivenOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  for (const [key, value] of given) {
    const kind = kinds[key as GenerationKey];
    if (kind === undefined) throw new TypeError(`Unknown generation option ${key}${nearest(key)}`);
    if (kind[1](value)) continue;
    const wrong = kind === count && Number.isSafeInteger(value) ? RangeError : TypeError;
    throw new wrong(`Generation option ${key} must be ${kind[0]}, got ${show(value)}`);
  }
  return Object.fromEntries(given);
}

/** A value as a message quotes it. */
export function show(value: unknown): string {
  return typeof value === "bigint" || typeof value === "number" || typeof value === "function" ? String(value) : JSON.stringify(value) ?? String(value);
}

/** `, did you mean X` for a key that is written in snake_case or in other letters. */
function nearest(key: string): string {
  const plain = (text: string) => text.replaceAll("_", "").toLowerCase();
  const found = generationKeys.find((known) => plain(known) === plain(key)) ?? generationKeys.find((known) => plain(known).includes(plain(key)));
  return found === undefined ? "" : `, did you mean ${found}`;
}
