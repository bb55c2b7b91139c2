import { assertEquals } from "@std/assert";
import { type SamplingOptions, SamplingParams } from "./sampling_params.ts";
import { StopChecker, type StoppingCriterion } from "./stop_checker.ts";

/** Checks an answer of these tokens after a prompt of two, with 9 as end of text and room for ten tokens. */
function check(answer: number[], options: SamplingOptions, criteria: StoppingCriterion[] = []) {
  return new StopChecker(new SamplingParams(options), [9], 10, criteria).check([9, 9, ...answer], 2);
}

Deno.test("end of text, stop tokens, lengths and a full context end an answer", () => {
  assertEquals(check([1], {}), null);
  assertEquals(check([1, 9], {}), { finishReason: "stop", stopReason: null });
  assertEquals(check([1, 5], { stopTokenIds: [5] }), { finishReason: "stop", stopReason: 5 });
  assertEquals(check([1, 2, 3], { maxTokens: 3 }), { finishReason: "length", stopReason: null });
  assertEquals(check([1, 2, 9], { maxTokens: 3 }), { finishReason: "stop", stopReason: null });
  assertEquals(check([1, 2, 3, 4, 5, 6, 7, 8], {}), { finishReason: "length", stopReason: null });
});

Deno.test("end of text can be ignored, and does not count before the fewest tokens", () => {
  assertEquals(check([9], { ignoreEos: true }), null);
  assertEquals(check([9], { ignoreEos: true, stopTokenIds: [9] }), { finishReason: "stop", stopReason: 9 });
  assertEquals(check([9], { minTokens: 2 }), null);
});

Deno.test("every criterion is asked each time and sees prompt and answer", () => {
  const seen: unknown[] = [];
  const criterion = (result: boolean): StoppingCriterion => (tokenIds, promptLength) => (seen.push([...tokenIds], promptLength), result);
  assertEquals(check([1], {}, [criterion(true), criterion(false)]), { finishReason: "stop", stopReason: null });
  assertEquals(seen, [[9, 9, 1], 2, [9, 9, 1], 2]);
});
