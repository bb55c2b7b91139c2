/**
 * Which processors a generation configuration asks for, in the order of Transformers.
 * Source: `_get_logits_processor` in utils.py of transformers/generation.
 *
 * @module
 */
import type { LogitsProcessor } from "./completion.ts";
import type { GivenOptions } from "./generation_options.ts";
import * as process from "./logits_process.ts";
import * as warp from "./logits_warpers.ts";

/** What is left to the sampler of the host module. */
export interface SamplerSettings {
  /** 0 = greedy. */
  readonly temperature: number;
  /** 0 = all. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Processors of one row, to be applied in this order, custom ones between `after` and `warpers`. */
export interface LogitsProcessors {
  readonly before: readonly LogitsProcessor[];
  /** The repetition penalty, if any: as a processor here, or by the sampler's `penalize`. */
  readonly repetition: readonly LogitsProcessor[];
  readonly after: readonly LogitsProcessor[];
  /** Only when sampling. */
  readonly warpers: readonly LogitsProcessor[];
  /** What the sampler has to do after all of these. */
  readonly sampler: SamplerSettings;
}

/** Sizes that a configuration does not know. */
export interface LogitsContext {
  /** Tokens of the prompt, padding included. */
  readonly promptLength: number;
  /** Padding at the beginning of the prompt: it does not count as a repetition. */
  readonly padding?: number;
  readonly eosTokenIds: readonly number[];
  /** Warp here whatever can be: then the logits after all processors are the scores of Transformers. */
  readonly warpAll?: boolean;
}

/**
 * Makes the processors of one row.
 *
 * @param config Options as they are after merging; what is missing has the default of Transformers, lengths count the prompt.
 */
export function buildLogitsProcessors(config: GivenOptions, context: LogitsContext): LogitsProcessors {
  const { promptLength, padding, eosTokenIds } = context;
  const before: LogitsProcessor[] = [], repetition: LogitsProcessor[] = [], after: LogitsProcessor[] = [];
  if (config.sequenceBias) before.push(process.sequenceBias(config.sequenceBias));
  if (isSet(config.encoderRepetitionPenalty, 1)) before.push(process.encoderRepetitionPenalty(config.encoderRepetitionPenalty, promptLength));
  if (isSet(config.repetitionPenalty, 1)) repetition.push(process.repetitionPenalty(config.repetitionPenalty, padding));
  if (isSet(config.noRepeatNgramSize, 0)) after.push(process.noRepeatNgram(config.noRepeatNgramSize));
  if (isSet(config.encoderNoRepeatNgramSize, 0)) after.push(process.encoderNoRepeatNgram(config.encoderNoRepeatNgramSize, promptLength));
  if (config.badWordsIds) after.push(process.badWords(config.badWordsIds, eosTokenIds));
  const minLength = Math.max(config.minLength ?? 0, config.minNewTokens === undefined ? 0 : promptLength + config.minNewTokens);
  if (minLength > promptLength) after.push(process.minLength(minLength, eosTokenIds));
  if (config.forcedBosTokenId !== undefined) after.push(process.forcedBos(config.forcedBosTokenId));
  if (config.forcedEosTokenId !== undefined && config.maxLength !== undefined) {
    after.push(process.forcedEos(config.maxLength, [config.forcedEosTokenId].flat()));
  }
  if (config.removeInvalidValues) after.push(process.removeInvalidValues());
  if (config.exponentialDecayLengthPenalty) {
    after.push(process.exponentialDecayLengthPenalty(config.exponentialDecayLengthPenalty, eosTokenIds, promptLength));
  }
  if (config.suppressTokens) after.push(process.suppressTokens(config.suppressTokens));
  if (config.beginSuppressTokens) {
    // After a forced first token the answer begins one later.
    const beginIndex = promptLength > 1 || config.forcedBosTokenId === undefined ? promptLength : promptLength + 1;
    after.push(process.beginSuppressTokens(config.beginSuppressTokens, beginIndex));
  }
  return { before, repetition, after, ...splitWarpers(config, context.warpAll ?? false) };
}

/** The sampler goes on where the warpers end: those it lacks, and all that come before one of them, are done here. */
function splitWarpers(config: GivenOptions, warpAll: boolean): Pick<LogitsProcessors, "warpers" | "sampler"> {
  const normalize = config.renormalizeLogits ? [process.normalizeLogits()] : [];
  const { temperature = 1, topK = 50, topP = 1, minP = 0, topH, typicalP, epsilonCutoff, etaCutoff } = config;
  if (!config.doSample) return { warpers: normalize, sampler: { temperature: 0, topK: 0, topP: 1, minP: 0 } };
  const first: LogitsProcessor[] = [], shared: LogitsProcessor[] = [], last: LogitsProcessor[] = [];
  if (temperature !== 1) first.push(warp.temperature(temperature));
  if (topH !== undefined) first.push(warp.topH(topH));
  if (topK !== 0) shared.push(warp.topK(topK));
  if (topP < 1) shared.push(warp.topP(topP));
  if (minP > 0) shared.push(warp.minP(minP));
  if (typicalP !== undefined && typicalP < 1) last.push(warp.typicalP(typicalP));
  if (isSet(epsilonCutoff, 0)) last.push(warp.epsilonCutoff(epsilonCutoff));
  if (isSet(etaCutoff, 0)) last.push(warp.etaCutoff(etaCutoff));
  if (warpAll || last.length > 0) return { warpers: [...first, ...shared, ...last, ...normalize], sampler: { temperature: 1, topK: 0, topP: 1, minP: 0 } };
  if (topH !== undefined) return { warpers: [...first, ...normalize], sampler: { temperature: 1, topK, topP, minP } };
  return { warpers: normalize, sampler: { temperature, topK, topP, minP } };
}

function isSet(value: number | undefined, neutral: number): value is number {
  return value !== undefined && value !== neutral;
}
