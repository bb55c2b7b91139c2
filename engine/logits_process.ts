/**
 * Logits processors of Transformers: what may follow what. They change the logits of the next token in place.
 * Source: logits_process.py of transformers/generation; the formulas are its.
 *
 * @module
 */
import type { LogitsProcessor } from "./completion.ts";

/**
 * Adds a bias to the last token of a sequence wherever the tokens before it are there; to a single token always.
 *
 * @param biases Pairs of token ids and bias; of equal sequences the last counts.
 * @throws {RangeError} from the processor, when a token is not in the vocabulary.
 */
export function sequenceBias(biases: readonly (readonly [readonly number[], number])[]): LogitsProcessor {
  const distinct = [...new Map(biases.map(([ids, bias]) => [ids.join(), { prefix: ids.slice(0, -1), last: ids[ids.length - 1], bias }])).values()];
  return (tokenIds, logits) => {
    for (const { prefix, last, bias } of distinct) {
      for (const id of [...prefix, last]) {
        if (!(id < logits.length)) throw new RangeError(`Cannot bias token ${id}: the vocabulary has ${logits.length} tokens`);
      }
      if (endsWith(tokenIds, prefix)) logits[last] += bias;
    }
  };
}

/** Makes sequences impossible. Those that are an end-of-text token alone stay possible. */
export function badWords(words: readonly (readonly number[])[], eosTokenIds: readonly number[]): LogitsProcessor {
  const banned = words.filter((ids) => !(ids.length === 1 && eosTokenIds.includes(ids[0])));
  return sequenceBias(banned.map((ids) => [ids, -Infinity]));
}

/**
 * Makes tokens that are there already less likely: for each distinct id `s < 0 ? s * penalty : s / penalty`.
 *
 * @param ignored Tokens at the beginning that do not count: padding.
 */
export function repetitionPenalty(penalty: number, ignored = 0): LogitsProcessor {
  return (tokenIds, logits) => penalize(logits, new Set(ignored === 0 ? tokenIds : tokenIds.slice(ignored)), penalty);
}

/** Makes the tokens of the prompt more likely: the repetition penalty with its inverse. */
export function encoderRepetitionPenalty(penalty: number, promptLength: number): LogitsProcessor {
  return (tokenIds, logits) => penalize(logits, new Set(tokenIds.slice(0, promptLength)), 1 / penalty);
}

function penalize(logits: Float32Array, ids: ReadonlySet<number>, penalty: number): void {
  for (const id of ids) logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty;
}

/** Makes it impossible to repeat `size` tokens in a row. */
export function noRepeatNgram(size: number): LogitsProcessor {
  return (tokenIds, logits) => banNgrams(tokenIds, tokenIds.length, size, logits);
}

/** Makes it impossible to repeat `size` tokens in a row of the prompt. */
export function encoderNoRepeatNgram(size: number, promptLength: number): LogitsProcessor {
  return (tokenIds, logits) => banNgrams(tokenIds, promptLength, size, logits);
}

/** Bans what followed the last `size - 1` tokens anywhere within the first `length`. */
function banNgrams(tokenIds: readonly number[], length: number, size: number, logits: Float32Array): void {
  if (tokenIds.length < size) return;
  const suffix = tokenIds.length - (size - 1);
  for (let start = 0; start + size <= length; start++) {
    let matches = 0;
    while (matches < size - 1 && tokenIds[start + matches] === tokenIds[suffix + matches]) matches++;
    if (matches === size - 1) logits[tokenIds[start + matches]] = -Infinity;
  }
}

/** Makes end-of-text impossible while prompt and answer are shorter than `minLength` tokens. */
export function minLength(minLength: number, eosTokenIds: readonly number[]): LogitsProcessor {
  return (tokenIds, logits) => {
    if (tokenIds.length < minLength) suppress(logits, eosTokenIds);
  };
}

/** Makes one token certain after a prompt of one token. */
export function forcedBos(tokenId: number): LogitsProcessor {
  return (tokenIds, logits) => {
    if (tokenIds.length === 1) force(logits, [tokenId]);
  };
}

/** Makes tokens certain where only one more fits. */
export function forcedEos(maxLength: number, tokenIds: readonly number[]): LogitsProcessor {
  return (ids, logits) => {
    if (ids.length === maxLength - 1) force(logits, tokenIds);
  };
}

function force(logits: Float32Array, ids: readonly number[]): void {
  logits.fill(-Infinity);
  for (const id of ids) logits[id] = 0;
}

/** NaN becomes 0, infinities the largest finite numbers. */
export function removeInvalidValues(): LogitsProcessor {
  const largest = (2 - 2 ** -23) * 2 ** 127;
  return (_, logits) => {
    for (let id = 0; id < logits.length; id++) {
      const value = logits[id];
      logits[id] = Number.isNaN(value) ? 0 : Math.max(-largest, Math.min(largest, value));
    }
  };
}

/**
 * Makes end-of-text likelier with every token after the first `start` new ones: `s + |s| * (factor ** tokensSince - 1)`.
 */
export function exponentialDecayLengthPenalty(
  [start, factor]: readonly [number, number],
  eosTokenIds: readonly number[],
  promptLength: number,
): LogitsProcessor {
  const distinct = new Set(eosTokenIds);
  return (tokenIds, logits) => {
    const since = tokenIds.length - promptLength - start;
    if (since <= 0) return;
    for (const id of distinct) {
      if (Number.isFinite(logits[id])) logits[id] += Math.abs(logits[id]) * (factor ** since - 1);
    }
  };
}

/** Makes tokens impossible. */
export function suppressTokens(ids: readonly number[]): LogitsProcessor {
  return (_, logits) => suppress(logits, ids);
}

/** Makes tokens impossible as the one at index `beginIndex`. */
export function beginSuppressTokens(ids: readonly number[], beginIndex: number): LogitsProcessor {
  return (tokenIds, logits) => {
    if (tokenIds.length === beginIndex) suppress(logits, ids);
  };
}

function suppress(logits: Float32Array, ids: readonly number[]): void {
  for (const id of ids) logits[id] = -Infinity;
}

/** Turns logits into log probabilities. */
export function normalizeLogits(): LogitsProcessor {
  return (_, logits) => {
    let max = -Infinity, sum = 0;
    for (const value of logits) max = Math.max(max, value);
    for (const value of logits) sum += Math.exp(value - max);
    const logSum = max + Math.log(sum);
    for (let id = 0; id < logits.length; id++) logits[id] -= logSum;
  };
}

function endsWith(tokenIds: readonly number[], suffix: readonly number[]): boolean {
  const from = tokenIds.length - suffix.length;
  return from >= 0 && suffix.every((id, i) => tokenIds[from + i] === id);
}
