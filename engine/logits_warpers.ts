/**
 * Logits warpers of Transformers: which of the likely tokens may be drawn. What they remove becomes -Infinity, in place.
 *
 * The sampler of the host module does temperature, top-k, top-p and min-p itself and faster; these are for the company of the other four,
 * which it lacks, and for those who want to see the scores.
 * Source: logits_process.py of transformers/generation; the formulas are its.
 *
 * @module
 */
import type { LogitsProcessor } from "./completion.ts";

/** Tokens that top-H looks at. */
const TOP_H_TOKENS = 100;

/** Divides by the temperature. */
export function temperature(temperature: number): LogitsProcessor {
  return (_, logits) => {
    for (let id = 0; id < logits.length; id++) logits[id] /= temperature;
  };
}

/** Keeps the `k` likeliest tokens and all that equal the last of them. */
export function topK(k: number): LogitsProcessor {
  return (_, logits) => {
    if (k >= logits.length) return;
    const limit = logits.toSorted()[logits.length - k];
    remove(logits, (id) => logits[id] < limit);
  };
}

/** Keeps the likeliest tokens whose probability exceeds `p` together, at least one. */
export function topP(p: number): LogitsProcessor {
  return (_, logits) => {
    const ids = likeliest(logits), probabilities = softmax(ids, logits);
    let before = 0, kept = 0;
    while (kept < ids.length && (kept === 0 || before < p)) before += probabilities[kept++];
    keepOnly(logits, ids.slice(0, kept));
  };
}

/** Keeps tokens with at least `p` times the probability of the likeliest. */
export function minP(p: number): LogitsProcessor {
  return (_, logits) => {
    const limit = largest(logits) + Math.log(p);
    remove(logits, (id) => logits[id] < limit);
  };
}

/** Keeps the likeliest tokens while their part of the entropy (of the {@link TOP_H_TOKENS} likeliest) is at most `h`, at least one. */
export function topH(h: number): LogitsProcessor {
  return (_, logits) => {
    const ids = likeliest(logits).slice(0, TOP_H_TOKENS), terms = softmax(ids, logits).map((p) => p > 0 ? -p * Math.log(p) : 0);
    const limit = h * terms.reduce((a, b) => a + b, 0);
    let sum = 0, kept = 0;
    while (kept < ids.length && (sum += terms[kept]) <= limit) kept++;
    keepOnly(logits, ids.slice(0, Math.max(1, kept)));
  };
}

/** Keeps the tokens whose information is closest to the entropy, until they have `mass` of the probability. */
export function typicalP(mass: number): LogitsProcessor {
  return (_, logits) => {
    const ids = finite(logits), probabilities = softmax(ids, logits), h = entropy(probabilities);
    const shifted = probabilities.map((p) => Math.abs(-Math.log(p) - h));
    const order = Array.from(shifted.keys()).sort((a, b) => shifted[a] - shifted[b]);
    let sum = 0, last = 0;
    while (last < order.length - 1 && (sum += probabilities[order[last]]) < mass) last++;
    const limit = shifted[order[last]];
    keepOnly(logits, ids.filter((_, i) => shifted[i] <= limit));
  };
}

/** Keeps tokens with a probability of at least `epsilon`, and the likeliest. */
export function epsilonCutoff(epsilon: number): LogitsProcessor {
  return (_, logits) => cutOff(logits, () => epsilon);
}

/** Keeps tokens with a probability of at least `min(epsilon, sqrt(epsilon) * e ** -entropy)`, and the likeliest. */
export function etaCutoff(epsilon: number): LogitsProcessor {
  return (_, logits) => cutOff(logits, (probabilities) => Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-entropy(probabilities))));
}

function cutOff(logits: Float32Array, limitOf: (probabilities: readonly number[]) => number): void {
  const ids = finite(logits), probabilities = softmax(ids, logits), limit = limitOf(probabilities), max = largest(logits);
  keepOnly(logits, ids.filter((id, i) => probabilities[i] >= limit || logits[id] === max));
}

/** Tokens that are possible, ascending. */
function finite(logits: Float32Array): number[] {
  const ids: number[] = [];
  logits.forEach((value, id) => {
    if (value > -Infinity) ids.push(id);
  });
  return ids;
}

/** Tokens that are possible, the likeliest first; equal ones by ascending id. */
function likeliest(logits: Float32Array): number[] {
  return finite(logits).sort((a, b) => logits[b] - logits[a] || a - b);
}

function largest(logits: Float32Array): number {
  return logits.reduce((a, b) => a > b ? a : b, -Infinity);
}

function softmax(ids: readonly number[], logits: Float32Array): number[] {
  const max = largest(logits), weights = ids.map((id) => Math.exp(logits[id] - max)), total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

function entropy(probabilities: readonly number[]): number {
  return probabilities.reduce((sum, p) => p > 0 ? sum - p * Math.log(p) : sum, 0);
}

function remove(logits: Float32Array, isRemoved: (id: number) => boolean): void {
  for (let id = 0; id < logits.length; id++) {
    if (isRemoved(id)) logits[id] = -Infinity;
  }
}

function keepOnly(logits: Float32Array, ids: readonly number[]): void {
  const kept = ids.map((id) => logits[id]);
  logits.fill(-Infinity);
  ids.forEach((id, i) => logits[id] = kept[i]);
}
