import { assertEquals, assertThrows } from "@std/assert";
import { type SamplingOptions, SamplingParams } from "./sampling_params.ts";

Deno.test("defaults are vLLM's", () => {
  const { n, temperature, topP, topK, minP, seed, maxTokens, minTokens, stop, logprobs, hasPenalties, outputKind } = new SamplingParams();
  assertEquals([n, temperature, topP, topK, minP, seed, maxTokens, minTokens, stop, logprobs, hasPenalties, outputKind], [
    ...[1, 1, 1, 0, 0, undefined, 16, 0, [], undefined, false, "cumulative"],
  ]);
});

Deno.test("values come in the forms that callers have", () => {
  const params = new SamplingParams({ topK: -1, stop: "x", seed: -1, logitBias: { 5: 1, "7": -100 }, maxTokens: null });
  assertEquals([params.topK, params.stop, params.seed, params.maxTokens], [0, ["x"], 2n ** 64n - 1n, Infinity]);
  assertEquals([...params.logitBias!], [[5, 1], [7, -100]]);
  assertEquals(new SamplingParams(params), params);
  assertEquals(new SamplingParams({ logitBias: {} }).hasPenalties, false);
});

const bad: [SamplingOptions, typeof RangeError | typeof TypeError, string][] = [
  [{ n: 0 }, RangeError, "n must be an integer of at least 1, got 0"],
  [{ n: 2, temperature: 0 }, RangeError, "n must be 1 with temperature 0"],
  [{ temperature: -0.1 }, RangeError, "temperature must be at least 0, got -0.1"],
  [{ temperature: Infinity }, RangeError, "temperature must be at least 0, got Infinity"],
  [{ temperature: "1" as unknown as number }, TypeError, "temperature must be a number, got 1"],
  [{ topP: 0 }, RangeError, "topP must be above 0 and at most 1, got 0"],
  [{ topP: NaN }, RangeError, "topP must be above 0 and at most 1, got NaN"],
  [{ topK: -2 }, RangeError, "topK must be an integer of at least -1, got -2"],
  [{ minP: 1.5 }, RangeError, "minP must be from 0 to 1, got 1.5"],
  [{ seed: 1.5 }, RangeError, "seed must be an integer, got 1.5"],
  [{ seed: null as unknown as number }, TypeError, "seed must be an integer, got null"],
  [{ presencePenalty: 3 }, RangeError, "presencePenalty must be from -2 to 2, got 3"],
  [{ frequencyPenalty: -3 }, RangeError, "frequencyPenalty must be from -2 to 2, got -3"],
  [{ repetitionPenalty: 0 }, RangeError, "repetitionPenalty must be above 0, got 0"],
  [{ logitBias: { a: 1 } as unknown as Record<number, number> }, RangeError, "logitBias must map token ids to numbers, got the id NaN"],
  [{ logitBias: { 1: "x" as unknown as number } }, TypeError, "got x for 1"],
  [{ stop: ["a", ""] }, RangeError, "stop contains an empty string"],
  [{ stop: [1] as unknown as string[] }, TypeError, "stop must be a list of strings, got [1]"],
  [{ stop: "a", detokenize: false }, RangeError, "stop needs detokenize"],
  [{ stopTokenIds: [-1] }, TypeError, "stopTokenIds must be a list of token ids, got [-1]"],
  [{ maxTokens: 0 }, RangeError, "maxTokens must be an integer of at least 1, got 0"],
  [{ minTokens: 17 }, RangeError, "minTokens must be at most maxTokens, 16, got 17"],
  [{ logprobs: -1 }, RangeError, "logprobs must be an integer of at least 0, got -1"],
  [{ ignoreEos: 1 as unknown as boolean }, TypeError, "ignoreEos must be true or false, got 1"],
  [{ outputKind: "all" as "final" }, RangeError, "outputKind must be one of cumulative, delta, final, got all"],
  [{ max_tokens: 4 } as SamplingOptions, TypeError, "Unknown sampling parameter max_tokens"],
  [{ promptLogprobs: 1 } as SamplingOptions, TypeError, "Unknown sampling parameter promptLogprobs"],
];
for (const [options, errorClass, message] of bad) {
  Deno.test(`refused: ${message}`, () => void assertThrows(() => new SamplingParams(options), errorClass, message));
}
