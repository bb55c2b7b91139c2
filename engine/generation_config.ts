/**
 * `GenerationConfig`: how `generate` turns logits into sequences. Defaults and rules are those of Transformers v5.
 * Source: utils.py (`_prepare_generation_config`, `_prepare_generated_length`) of transformers/generation.
 *
 * @module
 */
import { checkOptions, type GenerationKey, generationKeys, type GenerationOptions, type GivenOptions, show } from "./generation_options.ts";

/** Options that ask for a way of generating that is not there yet, each with the values that do not ask for it. */
const unsupported: Partial<Record<GenerationKey, readonly unknown[]>> = {
  useCache: [true],
  numBeams: [1],
  numBeamGroups: [1],
  diversityPenalty: [0],
  penaltyAlpha: [0],
  dolaLayers: [],
  constraints: [],
  forceWordsIds: [],
  guidanceScale: [1],
  tokenHealing: [false],
  watermarkingConfig: [],
  lowMemory: [false],
  promptLookupNumTokens: [],
  isAssistant: [false],
  assistantEarlyExit: [],
  cacheImplementation: ["dynamic", "dynamic_full"],
  cacheConfig: [],
  returnLegacyCache: [false],
  prefillChunkSize: [],
  outputAttentions: [false],
  outputHiddenStates: [false],
  decoderStartTokenId: [],
};

/** Generation options as a class, the way Transformers has it: `new GenerationConfig({ maxNewTokens: 64 })`. */
export class GenerationConfig {
  /**
   * Checks options.
   *
   * @throws {TypeError} when an option is unknown or of the wrong type; the message names it.
   */
  constructor(options: GenerationOptions = {}) {
    Object.assign(this, checkOptions(options));
  }

  /**
   * Reads `generation_config.json`, whose keys are in snake_case. Keys that are no generation options are left out, as Transformers
   * does with those it does not know.
   *
   * @throws {TypeError} when a value has the wrong type.
   */
  static fromJson(json: Readonly<Record<string, unknown>>): GenerationConfig {
    const known = new Set<string>(generationKeys);
    const pairs = Object.entries(json).map(([key, value]) => [key.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()), value]);
    return new GenerationConfig(Object.fromEntries(pairs.filter(([key]) => known.has(key as string))));
  }
}
/** The options are properties of the class. */
export interface GenerationConfig extends GenerationOptions {}

/** What generation needs to know about the call and the model. */
export interface GenerationContext {
  /** Tokens of the prompt, padding included. */
  readonly promptLength: number;
  /** Rows of prompts; several may need padding. */
  readonly batchSize: number;
  readonly maxPositionEmbeddings: number;
}

/** A configuration with every default filled in; lengths count the padded prompt. */
export interface ResolvedGeneration extends GivenOptions {
  readonly maxLength: number;
  /** `maxLength` less the prompt: at least 1. */
  readonly maxNewTokens: number;
  readonly minLength: number;
  readonly stopStrings: readonly string[];
  readonly doSample: boolean;
  readonly numReturnSequences: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number;
  /** What Transformers would log, sentences without a final period. */
  readonly warnings: readonly string[];
}

/**
 * Merges options, earlier ones winning: the call's own, the `generationConfig` argument, the model's.
 *
 * @throws {TypeError} when an option is unknown, has the wrong type, or asks for what is not supported yet.
 * @throws {RangeError} when a value is out of range, or the prompt leaves no room for an answer.
 */
export function resolveGeneration(layers: readonly (GenerationOptions | undefined)[], context: GenerationContext): ResolvedGeneration {
  const checked = layers.map((layer) => checkOptions(layer ?? {}));
  const merged: GivenOptions = Object.assign({}, ...checked.toReversed());
  for (const [key, harmless] of Object.entries(unsupported)) {
    const value = merged[key as GenerationKey];
    if (value !== undefined && !harmless.includes(value)) {
      throw new TypeError(`Generation option ${key} = ${show(value)} is not supported yet, leave it out`);
    }
  }
  const warnings: string[] = [];
  const lengths = resolveLengths(merged, context, warnings);
  const doSample = merged.doSample ?? false;
  const numReturnSequences = merged.numReturnSequences ?? 1;
  checkRanges({ ...merged, doSample, numReturnSequences });
  const eosTokenIds = [merged.eosTokenId ?? []].flat();
  if (merged.padTokenId === undefined && eosTokenIds.length > 0 && context.batchSize > 1) {
    warnings.push(`No padTokenId, padding with the first end-of-text token ${eosTokenIds[0]}`);
  }
  return {
    ...merged,
    ...lengths,
    stopStrings: [merged.stopStrings ?? []].flat(),
    doSample,
    numReturnSequences,
    temperature: merged.temperature ?? 1,
    topK: merged.topK ?? 50,
    topP: merged.topP ?? 1,
    eosTokenIds,
    padTokenId: merged.padTokenId ?? eosTokenIds[0] ?? 0,
    warnings,
  };
}

function resolveLengths(options: GivenOptions, { promptLength, maxPositionEmbeddings }: GenerationContext, warnings: string[]) {
  const { maxNewTokens, minNewTokens } = options;
  let maxLength: number;
  if (maxNewTokens !== undefined) {
    if (maxNewTokens < 1) throw new RangeError(`maxNewTokens must be at least 1, got ${maxNewTokens}`);
    if (options.maxLength !== undefined) {
      warnings.push(`Both maxNewTokens (${maxNewTokens}) and maxLength (${options.maxLength}) are set, maxNewTokens wins`);
    }
    maxLength = promptLength + maxNewTokens;
  } else if (options.maxLength !== undefined) {
    maxLength = options.maxLength;
    if (promptLength >= maxLength) {
      throw new RangeError(`The prompt has ${promptLength} tokens, but maxLength is ${maxLength}: raise maxLength, or set maxNewTokens`);
    }
  } else {
    maxLength = Math.min(promptLength + 20, maxPositionEmbeddings);
    if (promptLength >= maxLength) {
      throw new RangeError(`The prompt has ${promptLength} tokens, the model's context ${maxPositionEmbeddings}: shorten the prompt`);
    }
  }
  const minLength = minNewTokens !== undefined ? promptLength + minNewTokens : options.minLength ?? 0;
  if (minLength > maxLength) {
    warnings.push(
      `Option ${
        minNewTokens !== undefined ? "minNewTokens" : "minLength"
      } asks for ${minLength} tokens, prompt included, but only ${maxLength} are allowed: raise maxNewTokens`,
    );
  }
  return { maxLength, maxNewTokens: maxLength - promptLength, minLength };
}

/** Ranges that Transformers checks in the constructors of its logits processors. */
function checkRanges(options: GivenOptions & { doSample: boolean; numReturnSequences: number }): void {
  const { doSample, numReturnSequences } = options;
  const within = (key: GenerationKey, ok: (value: number) => boolean, range: string) => {
    const value = options[key];
    if (typeof value === "number" && !ok(value)) throw new RangeError(`Generation option ${key} must be ${range}, got ${value}`);
  };
  if (numReturnSequences < 1) throw new RangeError(`Generation option numReturnSequences must be at least 1, got ${numReturnSequences}`);
  if (!doSample && numReturnSequences > 1) {
    throw new RangeError(`Greedy decoding gives one sequence, but numReturnSequences is ${numReturnSequences}: set doSample`);
  }
  for (const key of ["forcedBosTokenId", "forcedEosTokenId"] as const) {
    const forced = [options[key] ?? []].flat();
    if (forced.length > 0 && forced.every((id) => options.suppressTokens?.includes(id))) {
      throw new RangeError(`Generation option ${key} forces what suppressTokens suppresses (${forced.join(", ")}): take one of them out`);
    }
  }
  within("repetitionPenalty", (value) => value > 0, "above 0");
  within("encoderRepetitionPenalty", (value) => value > 0, "above 0");
  within("maxTime", (value) => value >= 0, "at least 0");
  if (!doSample) return;
  if (options.temperature !== undefined && options.temperature <= 0) {
    throw new RangeError(`Generation option temperature must be above 0 to sample, got ${options.temperature}: for greedy decoding set doSample to false`);
  }
  within("topP", (value) => value >= 0 && value <= 1, "between 0 and 1");
  within("minP", (value) => value >= 0 && value <= 1, "between 0 and 1");
  within("topH", (value) => value > 0 && value <= 1, "above 0 and at most 1");
  within("typicalP", (value) => value > 0 && value <= 1, "above 0 and at most 1");
  within("epsilonCutoff", (value) => value >= 0 && value < 1, "from 0 up and below 1");
  within("etaCutoff", (value) => value >= 0 && value < 1, "from 0 up and below 1");
}
