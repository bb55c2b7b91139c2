import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { checkInvariants } from "../tests/check_invariants.ts";
import { FakeExecutable, fakeNext, fakeRope, fakeSampler, FakeTokenizer, letter } from "../tests/fake_model.ts";
import { DeviceError } from "./backend.ts";
import { EngineCore, type EngineCoreParts } from "./engine_core.ts";
import type { RequestOutput } from "./request_output.ts";
import type { SamplingOptions } from "./sampling_params.ts";
import type { SchedulerOptions } from "./scheduler.ts";

const vocabSize = 26, eos = 25;

/** An engine over the fake model. */
function setUp(options: Partial<SchedulerOptions> = {}, parts: Partial<EngineCoreParts> = {}) {
  const scheduler = { blocks: 64, blockSize: 4, maxNumSeqs: 8, maxNumBatchedTokens: 16, maxContext: 100, enablePrefixCaching: true, ...options };
  const { blocks, blockSize, maxNumSeqs, maxNumBatchedTokens } = scheduler;
  const executable = new FakeExecutable(vocabSize, { blocks, blockSize, maxRows: maxNumBatchedTokens, maxOutputs: maxNumSeqs, maxSequences: maxNumSeqs });
  const tokenizer = new FakeTokenizer();
  const core = new EngineCore({ executable, rope: fakeRope, sampler: fakeSampler, vocabSize, tokenizer, eosTokenIds: [eos], scheduler, ...parts });
  const assertIdle = () => {
    checkInvariants(core.scheduler);
    assertEquals([core.scheduler.hasWork, core.pool.free, tokenizer.live], [false, blocks, 0], "something was left behind");
  };
  return { core, executable, assertIdle };
}

/** What the fake model answers, greedily, without an engine. */
function alone(prompt: number[], maxTokens: number, stopAt = eos): number[] {
  const tokens = [...prompt];
  do tokens.push(fakeNext(tokens, vocabSize)); while (tokens.length < prompt.length + maxTokens && tokens.at(-1) !== stopAt);
  return tokens.slice(prompt.length);
}
/** The same where end of text is ignored. */
const endless = (prompt: number[], maxTokens: number) => alone(prompt, maxTokens, -1);

const prompts = Array.from({ length: 8 }, (_, i) => Array.from({ length: 3 + 11 * i % 40 }, (_, j) => (i % 3 * 7 + j) % 25));
const greedy = (options: SamplingOptions = {}): SamplingOptions => ({ temperature: 0, maxTokens: 20, ...options });
const collect = async (stream: AsyncIterable<RequestOutput>) => await Array.fromAsync(stream);
const text = (tokenIds: readonly number[]) => tokenIds.map(letter).join("");
/** Until the engine has run this many steps. */
async function untilStep(executable: FakeExecutable, step: number) {
  while (executable.steps < step) await new Promise((resolve) => setTimeout(resolve, 1));
}

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

Deno.test("rotations do not depend on how a prompt is cut or computed again", async () => {
  const seen = new Map<number, number>();
  const rope: typeof fakeRope = {
    ...fakeRope,
    fill(out, row, position, sequenceLength) {
      assertEquals(sequenceLength, seen.get(position) ?? sequenceLength);
      seen.set(position, sequenceLength);
      fakeRope.fill(out, row, position, sequenceLength);
    },
  };
  const { core } = setUp({ blocks: 12 }, { rope });
  const requests = [0, 1].map((first) =>
    core.add({ promptTokenIds: Array(19).fill(first), samplingParams: greedy({ maxTokens: 13, ignoreEos: true }) }).result()
  );
  await Promise.all(requests);
  assert(core.metrics().preemptions > 0);
  assertEquals([seen.get(0), seen.get(18), seen.get(19), seen.get(30), seen.size], [19, 19, 20, 31, 31]);
});

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

Deno.test("a processor that throws, a criterion that throws and logits without a number end their request only", async () => {
  const { core, assertIdle } = setUp(), promptTokenIds = [5, 6];
  const good = core.add({ promptTokenIds, samplingParams: greedy() }).result();
  const throws = () => {
    throw new SyntaxError("Grammar is broken");
  };
  await Promise.all([
    assertRejects(() => core.add({ promptTokenIds, logitsProcessors: [throws] }).result(), SyntaxError, "Grammar is broken"),
    assertRejects(() => core.add({ promptTokenIds, stoppingCriteria: [throws] }).result(), SyntaxError, "Grammar is broken"),
    assertRejects(() => core.add({ promptTokenIds, logitsProcessors: [(_, logits) => logits.fill(NaN)] }).result(), RangeError, "no logit is finite"),
  ]);
  assertEquals((await good).outputs[0].tokenIds, alone(promptTokenIds, 20));
  assertIdle();
});

Deno.test("a failing device rejects every pending and every later request, and nothing hangs", async () => {
  const { core, executable } = setUp({ maxNumSeqs: 2 });
  executable.failsAt = 3;
  const results = prompts.map((promptTokenIds) =>
    assertRejects(() => core.add({ promptTokenIds, samplingParams: greedy() }).result(), DeviceError, "The device was lost")
  );
  await Promise.all([...results, assertRejects(() => collect(core.add({ promptTokenIds: [1] })), DeviceError, "The device was lost")]);
  assertThrows(() => core.add({ promptTokenIds: [1] }), DeviceError, "The device was lost");
  await assertRejects(() => core.exclusive(() => Promise.resolve()), DeviceError, "The device was lost");
  assertEquals(executable.steps, 3);
});

Deno.test("closing rejects pending requests, also in the middle of a step", async () => {
  const { core, executable, assertIdle } = setUp();
  const result = assertRejects(
    () => core.add({ promptTokenIds: [1], samplingParams: greedy({ maxTokens: null, ignoreEos: true }) }).result(),
    Error,
    "The engine is closed",
  );
  await untilStep(executable, 2);
  const gate = Promise.withResolvers<void>(), entered = Promise.withResolvers<void>();
  executable.delay = () => (entered.resolve(), gate.promise);
  await entered.promise;
  core.close();
  await result;
  gate.resolve();
  assertIdle();
  assertThrows(() => core.add({ promptTokenIds: [1] }), Error, "The engine is closed");
});

Deno.test("a cancelled request ends as aborted in the queue, in its prompt and in its answer, and frees its blocks", async () => {
  const { core, executable, assertIdle } = setUp({ maxNumSeqs: 2 });
  const add = (promptTokenIds: number[], signal?: AbortSignal) =>
    core.add({ promptTokenIds, signal, samplingParams: greedy({ maxTokens: 40, ignoreEos: true }) });
  const controllers = Array.from({ length: 4 }, () => new AbortController());
  controllers[3].abort();
  const neighbour = add([7]), cancelled = [add(prompts[3], controllers[0].signal), add(prompts[2], controllers[1].signal), add([1], controllers[3].signal)];
  let late = cancelled[0];
  executable.delay = () => {
    if (executable.steps === 1) {
      assertEquals([cancelled[0].completions[0].computed, core.scheduler.waiting.length], [15, 1]);
      controllers[0].abort(); // in its prompt
      controllers[1].abort(); // in the queue
      late = add([2, 2], controllers[2].signal);
    }
    if (executable.steps === 12) controllers[2].abort(); // in its answer
    return Promise.resolve();
  };
  await neighbour.result();
  const outputs = await Promise.all([...cancelled, late].map((stream) => stream.result()));
  assertEquals(outputs.map(({ finished, outputs: [output] }) => [finished, output.finishReason]), Array(4).fill([true, "abort"]));
  assertEquals(outputs.slice(0, 3).map(({ outputs: [output] }) => output.tokenIds), [[], [], []]);
  const [answer] = outputs[3].outputs;
  assertEquals([answer.tokenIds, answer.text], [endless([2, 2], 10), text(endless([2, 2], 10))]);
  assertEquals((await neighbour.result()).outputs[0].tokenIds, endless([7], 40));
  assertEquals(core.metrics().finished, { stop: 0, length: 1, abort: 4 });
  assertIdle();
});

Deno.test("a cancelled stream ends with an output that says so, at once, even while a step is under way", async () => {
  const { core, executable } = setUp(), controller = new AbortController(), gate = Promise.withResolvers<void>();
  const stream = core.add({
    promptTokenIds: [1],
    signal: controller.signal,
    samplingParams: greedy({ outputKind: "delta", maxTokens: null, ignoreEos: true }),
  });
  const first = await stream.next();
  executable.delay = () => gate.promise;
  controller.abort();
  const rest = await collect(stream);
  assertEquals([first.value!.finished, rest.at(-1)!.finished, rest.at(-1)!.outputs[0].finishReason], [false, true, "abort"]);
  gate.resolve();
});

Deno.test("leaving a stream early cancels its request", async () => {
  const { core, assertIdle } = setUp();
  for await (const { outputs } of core.add({ promptTokenIds: [1], samplingParams: greedy({ maxTokens: null, ignoreEos: true }) })) {
    if (outputs[0].tokenIds.length > 2) break;
  }
  await core.exclusive(() => Promise.resolve());
  assertEquals(core.metrics().finished.abort, 1);
  assertIdle();
});

Deno.test("higher rank is answered first", async () => {
  const { core } = setUp({ maxNumSeqs: 1 }), order: number[] = [];
  const request = async (priority: number) => (await core.add({ promptTokenIds: [1, 2], priority, samplingParams: greedy() }).result(), order.push(priority));
  await Promise.all([1, 0, 2, -1].map(request));
  assertEquals(order, [-1, 0, 1, 2]);
});

Deno.test("others use the executable between steps, and may hold so many blocks that a request cannot go on", async () => {
  const { core, assertIdle } = setUp({ blocks: 8 });
  const running = core.add({ promptTokenIds: [1], samplingParams: greedy({ maxTokens: 20, ignoreEos: true }) });
  let isInside = false;
  const use = () =>
    core.exclusive(async () => {
      assert(!isInside);
      isInside = true;
      await new Promise((resolve) => setTimeout(resolve, 1));
      isInside = false;
      return core.scheduler.running.length;
    });
  assertEquals(await Promise.all([use(), use()]), [0, 0]);
  await running.result();
  await assertRejects(() => core.exclusive(() => Promise.reject(new TypeError("Not mine"))), TypeError, "Not mine");
  const held = Array.from({ length: 6 }, () => core.pool.allocate());
  await assertRejects(() => core.add({ promptTokenIds: Array(9).fill(1) }).result(), RangeError, "only 2 of 8 cache blocks of 4 are free");
  for (const block of held) core.pool.release(block);
  await core.add({ promptTokenIds: Array(9).fill(1) }).result();
  assertIdle();
});

Deno.test("a thousand random cancellations leave nothing behind and harm nobody", async () => {
  const { core, assertIdle } = setUp({ blocks: 24, maxNumSeqs: 4 });
  let state = 1;
  const random = (below: number) => (state = Math.imul(state, 1103515245) + 12345 & 0x7fffffff, (state >>> 8) % below);
  const one = async (promptTokenIds: number[], patience: number) => {
    const controller = new AbortController(), stream = core.add({ promptTokenIds, signal: controller.signal, samplingParams: greedy({ maxTokens: 12 }) });
    if (patience === 0) controller.abort();
    for await (const { outputs: [{ tokenIds, finishReason }] } of stream) {
      if (tokenIds.length >= patience) controller.abort();
      if (finishReason !== "abort") assertEquals(tokenIds, alone(promptTokenIds, tokenIds.length));
    }
  };
  for (let round = 0; round < 50; round++) {
    const requests = Array.from({ length: 20 }, async () => {
      for (let i = random(5); i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
      await one(prompts[random(8)].slice(0, 1 + random(20)), random(4) === 0 ? Infinity : random(6));
    });
    await Promise.all(requests);
    assertIdle();
  }
});
