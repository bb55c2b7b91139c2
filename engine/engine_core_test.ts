import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { alone, collect, endless, greedy, prompts, setUp, text, vocabSize } from "../tests/fake_engine.ts";
import { fakeNext, fakeRope, letter } from "../tests/fake_model.ts";
import type { SamplingOptions } from "./sampling_params.ts";

for (const blockSize of [1, 16, 64]) {
  for (const enablePrefixCaching of [true, false]) {
    Deno.test(`8 requests at once give the ids of 8 alone, blocks of ${blockSize}, prefix caching ${enablePrefixCaching}`, async () => {
      const { core, executable, assertIdle } = setUp({ blockSize, blocks: Math.ceil(640 / blockSize), enablePrefixCaching });
      const streams = prompts.map((promptTokenIds) => core.add({ promptTokenIds, samplingParams: greedy() }));
      const outputs = await Promise.all(streams.map((stream) => stream.result()));
      assertEquals(outputs.map(({ outputs: [{ tokenIds }] }) => tokenIds), prompts.map((prompt) => alone(prompt, 20)));
      assert(executable.mostRows === 16, "prompts and answers share steps");
      assertIdle();
    });
  }
}

Deno.test("a cache too small for all makes some start over; answers stay the same", async () => {
  const { core, assertIdle } = setUp({ blocks: 16 });
  const streams = prompts.map((promptTokenIds) => core.add({ promptTokenIds, samplingParams: greedy() }));
  const outputs = await Promise.all(streams.map((stream) => stream.result()));
  assertEquals(outputs.map(({ outputs: [{ tokenIds }] }) => tokenIds), prompts.map((prompt) => alone(prompt, 20)));
  assert(core.metrics().preemptions > 0);
  assertIdle();
});

Deno.test("texts whose rotations depend on their length share nothing", async () => {
  const rope = { ...fakeRope, inverseFrequencies: (length: number) => Float32Array.of(1 / length) };
  const { core } = setUp({}, { rope });
  for (let i = 0; i < 2; i++) assertEquals((await core.add({ promptTokenIds: prompts[3], samplingParams: greedy() }).result()).numCachedTokens, 0);
  const { core: sharing } = setUp();
  for (let i = 0; i < 2; i++) assertEquals((await sharing.add({ promptTokenIds: prompts[3], samplingParams: greedy() }).result()).numCachedTokens, 32 * i);
});

for (const maxDecodeSteps of [0, 8]) {
  Deno.test(`rotations do not depend on how a prompt is cut, computed again or gone on with, ${maxDecodeSteps} steps on the device`, async () => {
    const seen = new Map<number, number>();
    const rope: typeof fakeRope = {
      ...fakeRope,
      fill(out, row, position, sequenceLength) {
        assertEquals(sequenceLength, seen.get(position) ?? sequenceLength);
        seen.set(position, sequenceLength);
        fakeRope.fill(out, row, position, sequenceLength);
      },
    };
    const { core, executable } = setUp({ blocks: 12 }, { rope });
    executable.maxDecodeSteps = maxDecodeSteps;
    const requests = [0, 1].map((first) =>
      core.add({ promptTokenIds: Array(19).fill(first), samplingParams: greedy({ maxTokens: 13, ignoreEos: true }) }).result()
    );
    await Promise.all(requests);
    assert(core.metrics().preemptions > 0);
    assertEquals([seen.get(0), seen.get(18), seen.get(19), seen.get(30), seen.size], [19, 19, 20, 31, 31]);
  });
}

Deno.test("kinds of streams: everything so far, a token at a time, only the end", async () => {
  const { core, assertIdle } = setUp();
  const prompt = [1, 2, 3], answer = alone(prompt, 6);
  const request = (outputKind: SamplingOptions["outputKind"]) =>
    core.add({ promptTokenIds: prompt, prompt: "bcd", samplingParams: greedy({ maxTokens: 6, outputKind }) });
  const [cumulative, delta, final] = await Promise.all([collect(request("cumulative")), collect(request("delta")), collect(request("final"))]);
  cumulative.forEach(({ outputs: [output], finished }, i) => {
    assertEquals([output.tokenIds, output.text, finished], [answer.slice(0, i + 1), text(answer.slice(0, i + 1)), i === 5]);
  });
  assertEquals(
    delta.map(({ outputs: [{ tokenIds, text, finishReason }] }) => [tokenIds, text, finishReason]),
    answer.map((id, i) => [[id], letter(id), i === 5 ? "length" : null]),
  );
  assertEquals(final.length, 1);
  const { outputs: [output], ...rest } = final[0];
  assertEquals(output, {
    index: 0,
    text: text(answer),
    tokenIds: answer,
    cumulativeLogprob: undefined,
    logprobs: undefined,
    finishReason: "length",
    stopReason: null,
  });
  assertEquals([rest.prompt, rest.promptTokenIds, rest.finished, rest.requestId], ["bcd", prompt, true, "2"]);
  const { arrivalMs, firstScheduledMs, firstTokenMs, finishedMs } = rest.timings;
  assert(arrivalMs <= firstScheduledMs! && firstScheduledMs! <= firstTokenMs! && firstTokenMs! <= finishedMs!);
  assertIdle();
});

Deno.test("a slow reader of a stream of tokens misses none", async () => {
  const { core } = setUp(), prompt = [4, 4], seen: number[] = [];
  const stream = core.add({ promptTokenIds: prompt, samplingParams: greedy({ outputKind: "delta" }) });
  await core.add({ promptTokenIds: [1], samplingParams: greedy({ maxTokens: 30, ignoreEos: true }) }).result();
  for await (const { outputs: [{ tokenIds }] } of stream) seen.push(...tokenIds);
  assertEquals(seen, alone(prompt, 20));
});

Deno.test("text that was held back comes with the last token", async () => {
  const { core } = setUp(), prompt = [4, 4], answer = text(endless(prompt, 5));
  const samplingParams = greedy({ maxTokens: 5, ignoreEos: true, outputKind: "delta", stop: [answer.slice(3) + "!"] });
  const pieces = (await collect(core.add({ promptTokenIds: prompt, samplingParams }))).map(({ outputs: [{ text }] }) => text);
  assertEquals(pieces, [answer[0], answer[1], answer[2], "", answer.slice(3)]);
});

Deno.test("end of text, stop tokens and stop strings end an answer as vLLM has it", async () => {
  const { core, assertIdle } = setUp(), prompt = [3, 1], answer = endless(prompt, 12);
  const run = async (options: SamplingOptions, eosTokenIds?: number[]) => {
    const { outputs: [output] } = await core.add({ promptTokenIds: prompt, eosTokenIds, samplingParams: greedy({ maxTokens: 12, ...options }) }).result();
    return [output.tokenIds.length, output.text, output.finishReason, output.stopReason];
  };
  const third = answer[2], shown = text(answer), at = answer.indexOf(third);
  assertEquals(at, 2, "the test needs three different tokens");
  assertEquals(await run({}, [third]), [3, shown.slice(0, 2), "stop", null]);
  assertEquals(await run({ stopTokenIds: [third] }), [3, shown.slice(0, 2), "stop", third]);
  assertEquals(await run({ stopTokenIds: [third], includeStopStrInOutput: true }), [3, shown.slice(0, 3), "stop", third]);
  assertEquals(await run({ stop: shown.slice(2, 4) }), [4, shown.slice(0, 2), "stop", shown.slice(2, 4)]);
  assertEquals(await run({ stop: shown.slice(2, 4), includeStopStrInOutput: true }), [4, shown.slice(0, 4), "stop", shown.slice(2, 4)]);
  assertEquals(await run({ stop: shown.slice(2, 4), minTokens: 4, ignoreEos: true }), [12, shown, "length", null]);
  assertEquals(await run({ ignoreEos: true }, [third]), [12, shown, "length", null]);
  assertIdle();
});

Deno.test("minTokens makes stop tokens impossible", async () => {
  const { core } = setUp(), prompt = [3, 1], first = alone(prompt, 1)[0];
  const { outputs: [output] } = await core.add({ promptTokenIds: prompt, eosTokenIds: [first], samplingParams: greedy({ minTokens: 3, maxTokens: 4 }) })
    .result();
  assertEquals(output.tokenIds.length >= 3 && output.tokenIds.slice(0, 3).every((id) => id !== first), true);
});

Deno.test("a criterion ends an answer and leaves its text whole", async () => {
  const { core } = setUp(), prompt = [3, 1], answer = alone(prompt, 5);
  const stoppingCriteria = [(tokenIds: readonly number[], promptLength: number) => tokenIds.length - promptLength === 5];
  const { outputs: [output] } = await core.add({ promptTokenIds: prompt, stoppingCriteria, samplingParams: greedy() }).result();
  assertEquals([output.text, output.tokenIds, output.finishReason], [text(answer), answer, "stop"]);
});

Deno.test("a full context ends an answer; a prompt that leaves no room is refused with both numbers", async () => {
  const { core, assertIdle } = setUp({ maxContext: 10 });
  const { outputs: [output] } = await core.add({ promptTokenIds: [1, 2, 3], samplingParams: greedy({ maxTokens: null, ignoreEos: true }) }).result();
  assertEquals([output.tokenIds.length, output.finishReason], [7, "length"]);
  assertThrows(() => core.add({ promptTokenIds: Array(10).fill(1) }), RangeError, "a prompt of 10 tokens: the context holds 10");
  assertThrows(() => core.add({ promptTokenIds: [] }), RangeError, "empty prompt");
  assertThrows(() => core.add({ promptTokenIds: [1, 26] }), RangeError, "token id 26 at position 1 of the prompt: the vocabulary has 26");
  assertThrows(() => core.add({ promptTokenIds: [1], samplingParams: { topP: 2 } }), RangeError, "topP");
  assertIdle();
});

Deno.test("n answers share the prompt's blocks, differ by their seeds, and the same seed gives the same text in any company", async () => {
  const { core, assertIdle } = setUp(), promptTokenIds = prompts[3];
  const params = { n: 4, seed: 7, maxTokens: 10, ignoreEos: true };
  const first = await core.add({ promptTokenIds, samplingParams: params }).result();
  assert(core.metrics().prefixCacheHitRate > 0.5);
  const company = prompts.map((promptTokenIds) => core.add({ promptTokenIds, samplingParams: greedy() }).result());
  const again = await core.add({ promptTokenIds, samplingParams: params }).result();
  const answers = first.outputs.map(({ text }) => text);
  assertEquals(again.outputs.map(({ text }) => text), answers);
  assertEquals(new Set(answers).size, 4);
  const single = await core.add({ promptTokenIds, samplingParams: { ...params, n: 1, seed: 9 } }).result();
  assertEquals(single.outputs[0].text, answers[2]);
  await Promise.all(company);
  assertIdle();
});

Deno.test("log probabilities are those of the model, whatever processors and penalties do", async () => {
  const { core } = setUp(), promptTokenIds = [5], best = alone([5], 1)[0];
  const plain = await core.add({ promptTokenIds, samplingParams: greedy({ maxTokens: 1, logprobs: 2 }) }).result();
  const [sample] = plain.outputs[0].logprobs!;
  assertEquals([sample.tokenId, sample.topLogprobs!.map(({ tokenId }) => tokenId)], [best, [best, (best + 1) % vocabSize]]);
  const biased = await core.add({ promptTokenIds, samplingParams: greedy({ maxTokens: 1, logprobs: 2, logitBias: { [best]: -100 } }) }).result();
  const [other] = biased.outputs[0].logprobs!;
  assertEquals([other.tokenId, other.topLogprobs], [(best + 1) % vocabSize, sample.topLogprobs]);
  assertAlmostEquals(other.logprob!, sample.logprob! - 0.25, 1e-6);
  assertEquals(biased.outputs[0].cumulativeLogprob, other.logprob);
  const long = await collect(core.add({ promptTokenIds, samplingParams: greedy({ maxTokens: 5, ignoreEos: true, logprobs: 0, outputKind: "delta" }) }));
  const sums = long.map(({ outputs: [{ cumulativeLogprob }] }) => cumulativeLogprob!);
  long.forEach(({ outputs: [{ logprobs }] }, i) => assertAlmostEquals(logprobs![0].logprob!, sums[i] - (sums[i - 1] ?? 0), 1e-6));
});

Deno.test("logits processors see the text so far and work in order; an observer sees logits before and after", async () => {
  const { core } = setUp(), promptTokenIds = [5, 6], seen: unknown[] = [];
  const { outputs: [output] } = await core.add({
    promptTokenIds,
    samplingParams: greedy({ maxTokens: 2 }),
    logitsProcessors: [(_, logits) => logits.fill(0), (tokenIds, logits) => logits[tokenIds.length] = 9],
    onLogits: (index, raw, processed) => seen.push(index, raw.indexOf(0), processed.indexOf(9)),
  }).result();
  assertEquals(output.tokenIds, [2, 3]);
  assertEquals(seen, [0, fakeNext([5, 6], vocabSize), 2, 0, fakeNext([5, 6, 2], vocabSize), 3]);
});

Deno.test("higher rank is answered first", async () => {
  const { core } = setUp({ maxNumSeqs: 1 }), order: number[] = [];
  const request = async (priority: number) => (await core.add({ promptTokenIds: [1, 2], priority, samplingParams: greedy() }).result(), order.push(priority));
  await Promise.all([1, 0, 2, -1].map(request));
  assertEquals(order, [-1, 0, 1, 2]);
});
