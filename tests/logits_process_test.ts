import type { LogitsProcessor } from "../engine/completion.ts";
import type { GivenOptions } from "../engine/generation_options.ts";
import * as process from "../engine/logits_process.ts";
import { buildLogitsProcessors } from "../engine/logits_processors.ts";
import * as warp from "../engine/logits_warpers.ts";
import { loadHost } from "../wasm/host.ts";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import golden from "./fixtures/transformers/generation_golden.json" with { type: "json" };

const inf = Infinity;
/** Applies a processor to a copy. */
function apply(processor: LogitsProcessor, tokenIds: readonly number[], logits: readonly number[]): number[] {
  const row = Float32Array.from(logits);
  processor(tokenIds, row);
  return [...row];
}
/** Ids that a processor makes impossible. */
const banned = (processor: LogitsProcessor, tokenIds: readonly number[], vocab = 10) =>
  apply(processor, tokenIds, Array(vocab).fill(1)).flatMap((value, id) => value === -inf ? [id] : []);

for (const { processor, args, logits, kept, out } of golden.warpers) {
  const settings: { [name: string]: number | undefined } = args;
  const make: { [name: string]: (...numbers: number[]) => LogitsProcessor } = {
    TemperatureLogitsWarper: warp.temperature,
    TopKLogitsWarper: warp.topK,
    TopPLogitsWarper: warp.topP,
    MinPLogitsWarper: warp.minP,
    TypicalLogitsWarper: warp.typicalP,
    EpsilonLogitsWarper: warp.epsilonCutoff,
    EtaLogitsWarper: warp.etaCutoff,
    TopHLogitsWarper: warp.topH,
  };
  Deno.test(`${processor} ${JSON.stringify(args)} gives the scores of Transformers`, () => {
    const got = apply(make[processor](Object.values(settings)[0]!), [], logits);
    assertEquals(got.flatMap((value, id) => value > -inf ? [id] : []), kept);
    // The golden file has null where Transformers has -Infinity.
    for (const id of kept) assertAlmostEquals(got[id], (out as (number | null)[])[id]!, 1e-5);
  });
}

Deno.test("Warpers leave at least one token, and tokens that were impossible stay so", () => {
  const processors = [warp.topP(0), warp.minP(1), warp.topH(0.001), warp.typicalP(0.001), warp.epsilonCutoff(0.999), warp.etaCutoff(0.999), warp.topK(1)];
  for (const processor of processors) {
    assert(apply(processor, [], [1, -inf, 2.5, 2]).filter((value) => value > -inf).length === 1, `${processor}`);
    assertEquals(apply(processor, [], [-inf, 3, -inf]), [-inf, 3, -inf]);
  }
  assertEquals(apply(warp.topK(2), [], [1, 3, 2, 2, 0]), [-inf, 3, 2, 2, -inf]);
  assertEquals(apply(warp.topK(9), [], [1, 3]), [1, 3]);
});

Deno.test("sequenceBias: single tokens always, longer sequences where their beginning is there, the last of equals counts", () => {
  const bias = process.sequenceBias([[[1], 5], [[1], 2], [[7, 8, 2], -3], [[8, 2], 1], [[0, 1, 2, 3], 9]]);
  assertEquals(apply(bias, [7, 8], [0, 0, 0, 0, 0, 0, 0, 0, 0]), [0, 2, -2, 0, 0, 0, 0, 0, 0]);
  assertEquals(apply(bias, [8], [0, 0, 0, 0, 0, 0, 0, 0, 0]), [0, 2, 1, 0, 0, 0, 0, 0, 0]);
  assertEquals(apply(bias, [], [0, 0, 0, 0, 0, 0, 0, 0, 0]), [0, 2, 0, 0, 0, 0, 0, 0, 0]);
  assertThrows(() => apply(process.sequenceBias([[[4], 1]]), [], [0, 0]), RangeError, "Cannot bias token 4: the vocabulary has 2 tokens");
});

Deno.test("badWords bans sequences, but never end-of-text alone", () => {
  const words = process.badWords([[3], [9], [1, 2], [5, 9]], [9]);
  assertEquals(banned(words, [0, 1]), [2, 3]);
  assertEquals(banned(words, [5]), [3, 9]);
});

Deno.test("Repetition penalties touch each distinct id once, by its sign", () => {
  assertEquals(apply(process.repetitionPenalty(2), [0, 1, 1, 3], [4, -4, 4, 0]), [2, -8, 4, 0]);
  assertEquals(apply(process.repetitionPenalty(2, 1), [0, 1], [4, -4]), [4, -8]);
  assertEquals(apply(process.encoderRepetitionPenalty(2, 2), [0, 1, 2], [4, -4, 4]), [8, -2, 4]);
});

Deno.test("The repetition penalty is that of the sampler", async () => {
  const { sampler } = await loadHost(), logits = Float32Array.from({ length: 50 }, (_, i) => Math.sin(i * 7) * 5), tokenIds = [3, 4, 4, 49, 0];
  const expected = apply(process.repetitionPenalty(1.3), tokenIds, [...logits]);
  const none = { frequencyPenalty: 0, presencePenalty: 0 };
  sampler.penalize(logits, { ...none, repetitionPenalty: 1.3, promptTokenIds: tokenIds.slice(0, 2), outputTokenIds: tokenIds.slice(2) });
  assertEquals([...logits], expected);
});

Deno.test("noRepeatNgram bans what would repeat a run of tokens", () => {
  assertEquals(banned(process.noRepeatNgram(3), [1, 2, 3, 1, 2, 4, 1, 2]), [3, 4]);
  assertEquals(banned(process.noRepeatNgram(3), [1, 2]), []);
  assertEquals(banned(process.noRepeatNgram(1), [1, 5, 5]), [1, 5]);
  assertEquals(banned(process.noRepeatNgram(2), [6, 6]), [6]);
  assertEquals(banned(process.encoderNoRepeatNgram(2, 3), [1, 2, 3, 1, 7, 1]), [2]);
  assertEquals(banned(process.encoderNoRepeatNgram(2, 3), [1, 2, 3, 7, 8]), []);
});

Deno.test("Lengths: minimum, forced first and last token, tokens that may not begin", () => {
  assertEquals(banned(process.minLength(3, [8, 9]), [1, 2]), [8, 9]);
  assertEquals(banned(process.minLength(3, [8, 9]), [1, 2, 3]), []);
  assertEquals(apply(process.forcedBos(1), [5], [1, 2, 3]), [-inf, 0, -inf]);
  assertEquals(apply(process.forcedBos(1), [5, 5], [1, 2, 3]), [1, 2, 3]);
  assertEquals(apply(process.forcedEos(4, [0, 2]), [5, 5, 5], [1, 2, 3]), [0, -inf, 0]);
  assertEquals(apply(process.forcedEos(4, [0, 2]), [5, 5], [1, 2, 3]), [1, 2, 3]);
  assertEquals(banned(process.beginSuppressTokens([4], 2), [1, 2]), [4]);
  assertEquals(banned(process.beginSuppressTokens([4], 2), [1, 2, 3]), []);
  assertEquals(banned(process.suppressTokens([4, 6]), []), [4, 6]);
});

Deno.test("exponentialDecayLengthPenalty grows from the start on, also below zero", () => {
  const decay = process.exponentialDecayLengthPenalty([2, 1.5], [0, 2], 3);
  assertEquals(apply(decay, [1, 1, 1, 1, 1], [4, 4, -4]), [4, 4, -4]);
  assertEquals(apply(decay, [1, 1, 1, 1, 1, 1], [4, 4, -4]), [6, 4, -2]);
  assertEquals(apply(decay, [1, 1, 1, 1, 1, 1, 1], [4, 4, -inf]), [9, 4, -inf]);
  assertEquals(apply(process.exponentialDecayLengthPenalty([2, 1.5], [0, 0], 3), [1, 1, 1, 1, 1, 1], [4]), [6]);
});

Deno.test("removeInvalidValues and normalizeLogits", () => {
  const largest = new Float32Array([3.4028234663852886e38])[0];
  assertEquals(apply(process.removeInvalidValues(), [], [NaN, inf, -inf, 2]), [0, largest, -largest, 2]);
  const normal = apply(process.normalizeLogits(), [], [1, 2, -inf]);
  assertAlmostEquals(Math.exp(normal[0]) + Math.exp(normal[1]), 1, 1e-6);
  assertAlmostEquals(normal[1] - normal[0], 1, 1e-6);
  assertEquals(normal[2], -inf);
});

const context = { promptLength: 2, eosTokenIds: [9] };

Deno.test("buildLogitsProcessors: nothing asked for, nothing done", () => {
  const none = { before: [], repetition: [], after: [], warpers: [] };
  assertEquals(buildLogitsProcessors({}, context), { ...none, sampler: { temperature: 0, topK: 0, topP: 1, minP: 0 } });
  const neutral = { repetitionPenalty: 1, encoderRepetitionPenalty: 1, noRepeatNgramSize: 0, minLength: 0, typicalP: 1, epsilonCutoff: 0, etaCutoff: 0 };
  assertEquals(buildLogitsProcessors({ ...neutral, doSample: true }, context), { ...none, sampler: { temperature: 1, topK: 50, topP: 1, minP: 0 } });
});

Deno.test("buildLogitsProcessors: the order of Transformers", () => {
  const built = buildLogitsProcessors({
    sequenceBias: [[[0], 8]],
    encoderRepetitionPenalty: 2,
    repetitionPenalty: 4,
    noRepeatNgramSize: 1,
    badWordsIds: [[4], [9]],
    minNewTokens: 2,
    forcedEosTokenId: 7,
    maxLength: 20,
    removeInvalidValues: true,
    suppressTokens: [5],
    beginSuppressTokens: [6],
    exponentialDecayLengthPenalty: [0, 2],
  }, context);
  assertEquals([built.before.length, built.repetition.length, built.after.length], [2, 1, 8]);
  const logits = new Float32Array(10).fill(1);
  for (const processor of [...built.before, ...built.repetition]) processor([0, 1], logits);
  // (1 + 8) * 2 / 4 and 1 * 2 / 4.
  assertEquals([...logits.subarray(0, 3)], [4.5, 0.5, 1]);
  for (const processor of built.after) processor([0, 1], logits);
  // Bans by n-grams, bad words and length come before removeInvalidValues, suppression after it.
  const largest = new Float32Array([-3.4028234663852886e38])[0];
  assertEquals([...logits], [largest, largest, 1, 1, largest, -inf, -inf, 1, 1, largest]);
});

Deno.test("buildLogitsProcessors: minLength counts the prompt, a forced first token moves the beginning of the answer", () => {
  assertEquals(buildLogitsProcessors({ minLength: 2 }, context).after.length, 0);
  assertEquals(banned(buildLogitsProcessors({ minLength: 4 }, context).after[0], [1, 1, 1]), [9]);
  const one = { promptLength: 1, eosTokenIds: [9] };
  const [, begin] = buildLogitsProcessors({ forcedBosTokenId: 3, beginSuppressTokens: [4] }, one).after;
  assertEquals(banned(begin, [1]), []);
  assertEquals(banned(begin, [1, 3]), [4]);
});

Deno.test("buildLogitsProcessors: warpers and the sampler together keep what all warpers keep", async () => {
  const { sampler } = await loadHost();
  const logits = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i * 12.9898) * 4 + Math.cos(i * 78.233) * 3);
  const base: GivenOptions = { doSample: true, temperature: 0.7, topK: 20, topP: 0.95, minP: 0.02 };
  for (const extra of [{}, { topH: 0.6 }, { typicalP: 0.8 }, { epsilonCutoff: 0.05, etaCutoff: 0.1 }, { topH: 0.9, typicalP: 0.9, renormalizeLogits: true }]) {
    const [split, all] = [false, true].map((warpAll) => {
      const { warpers, sampler: settings } = buildLogitsProcessors({ ...base, ...extra }, { ...context, warpAll }), row = logits.slice();
      for (const warper of warpers) warper([], row);
      return { warpers, pairs: sampler.distribution(row, { ...settings, seed: 0n, position: 0 }) };
    });
    assert(all.pairs.length < 21);
    assert(Object.keys(extra).length > 0 || split.warpers.length === 0);
    assertEquals(split.pairs.map(({ tokenId }) => tokenId), all.pairs.map(({ tokenId }) => tokenId));
    split.pairs.forEach(({ probability }, i) => assertAlmostEquals(probability, all.pairs[i].probability, 1e-5));
  }
});
