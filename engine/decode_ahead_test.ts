import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { checkInvariants } from "../tests/check_invariants.ts";
import { alone, collect, endless, greedy, prompts, setUp } from "../tests/fake_engine.ts";
import { DeviceError } from "./backend.ts";
import { Scheduler } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";

/** An engine over a device that makes up to eight tokens on its own. */
function setUpFast(options: Parameters<typeof setUp>[0] = {}) {
  const parts = setUp(options);
  parts.executable.maxDecodeSteps = 8;
  return parts;
}

Deno.test("a device that makes tokens on its own gives the answers of one that does not, whatever ends them", async () => {
  const { core, executable, assertIdle } = setUpFast();
  for (const prompt of prompts) {
    const { outputs: [{ tokenIds }] } = await core.add({ promptTokenIds: prompt, samplingParams: greedy({ maxTokens: 30 }) }).result();
    assertEquals(tokenIds, alone(prompt, 30));
  }
  const answer = endless([1, 2], 40);
  const stops = [{ maxTokens: 13 }, { stop: String.fromCharCode(97 + answer[6], 97 + answer[7]) }, { stopTokenIds: [answer[9]] }];
  for (const stop of stops) {
    const { outputs: [{ tokenIds, finishReason }] } = await core.add({
      promptTokenIds: [1, 2],
      samplingParams: greedy({ maxTokens: 40, ignoreEos: true, ...stop }),
    }).result();
    assertEquals([tokenIds, finishReason], [answer.slice(0, tokenIds.length), "maxTokens" in stop ? "length" : "stop"]);
  }
  assert(executable.decoded > 100, "the device made no tokens on its own");
  assertIdle();
});

Deno.test("a context that ends in between is used to its last token", async () => {
  for (const options of [{ maxContext: 23 }, { blocks: 5 }]) {
    const { core, assertIdle } = setUpFast(options), { maxTokens } = core.scheduler;
    const { outputs: [{ tokenIds, finishReason }] } = await core.add({ promptTokenIds: [3], samplingParams: greedy({ maxTokens: null, ignoreEos: true }) })
      .result();
    assertEquals([tokenIds, finishReason], [endless([3], maxTokens - 1), "length"]);
    assertIdle();
  }
});

Deno.test("what was made ahead is found as a prefix, what was dropped is not", async () => {
  const { core } = setUpFast({ maxContext: 60 }), answer = endless([1, 2], 24);
  await core.add({ promptTokenIds: [1, 2], samplingParams: greedy({ maxTokens: 24, ignoreEos: true, stopTokenIds: [answer[19]] }) }).result();
  const end = answer.indexOf(answer[19]) + 1, again = await core.add({ promptTokenIds: [1, 2, ...answer], samplingParams: greedy() }).result();
  assertEquals(again.numCachedTokens, Math.floor((2 + end - 1) / 4) * 4);
  assertEquals(again.outputs[0].tokenIds, alone([1, 2, ...answer], 20));
});

Deno.test("company, sampling and whoever looks at logits get a step for each token", async () => {
  const { core, executable } = setUpFast(), promptTokenIds = [1];
  await Promise.all([0, 1].map(() => core.add({ promptTokenIds, samplingParams: greedy({ maxTokens: 9, ignoreEos: true }) }).result()));
  await core.add({ promptTokenIds, samplingParams: { maxTokens: 9 } }).result();
  for (const params of [{ logprobs: 0 }, { minTokens: 9 }, { presencePenalty: 1 }]) {
    await core.add({ promptTokenIds, samplingParams: greedy({ maxTokens: 9, ...params }) }).result();
  }
  await core.add({ promptTokenIds, samplingParams: greedy(), logitsProcessors: [() => {}] }).result();
  await core.add({ promptTokenIds, samplingParams: greedy(), onLogits: () => {} }).result();
  assertEquals(executable.decoded, 0);
});

Deno.test("a stream of tokens has each of them, and a request that comes or leaves meanwhile is no trouble", async () => {
  const { core, executable, assertIdle } = setUpFast(), controller = new AbortController();
  const first = core.add({ promptTokenIds: [5], signal: controller.signal, samplingParams: greedy({ maxTokens: 90, ignoreEos: true, outputKind: "delta" }) });
  let second;
  executable.delay = () => {
    if (executable.steps === 12) second = core.add({ promptTokenIds: [6], samplingParams: greedy({ maxTokens: 5, ignoreEos: true }) }).result();
    if (executable.steps === 50) controller.abort();
    return Promise.resolve();
  };
  const outputs = await collect(first), tokens = outputs.flatMap(({ outputs: [{ tokenIds }] }) => tokenIds);
  assertEquals([tokens, outputs.at(-1)!.outputs[0].finishReason], [endless([5], tokens.length), "abort"]);
  assertEquals((await second!).outputs[0].tokenIds, endless([6], 5));
  assert(tokens.length > 30 && executable.decoded > 10);
  assertIdle();
});

Deno.test("a device that fails on its own rejects like any other", async () => {
  const { core, executable } = setUpFast();
  executable.failsAt = 5;
  await assertRejects(() => core.add({ promptTokenIds: [5], samplingParams: greedy({ ignoreEos: true }) }).result(), DeviceError, "The device was lost");
});

Deno.test("places ahead are only taken from free blocks, and only a computed sequence advances", () => {
  const scheduler = new Scheduler({ blocks: 4, blockSize: 4, maxNumSeqs: 2, maxNumBatchedTokens: 8, maxContext: 100, enablePrefixCaching: true });
  const [a, b] = [new Sequence([1, 2, 3]), new Sequence([4, 5, 6, 7, 8])];
  for (const sequence of [a, b]) scheduler.add(sequence);
  const step = scheduler.schedule();
  assertEquals(step.tokens.length, 8);
  assertThrows(() => scheduler.advance(a, 1), RangeError, "0 of 3 tokens and 1 blocks");
  assertEquals([scheduler.reserveAhead(a, 3), a.blocks.length], [3, 2]);
  assertEquals([scheduler.reserveAhead(a, 9), a.blocks.length, scheduler.pool.free], [5, 2, 0]);
  scheduler.commit([9, 9]);
  for (let i = 0; i < 5; i++) scheduler.advance(a, i), checkInvariants(scheduler);
  assertThrows(() => scheduler.advance(a, 5), RangeError, "8 of 9 tokens and 2 blocks");
  assertEquals([a.tokens, a.computed, a.registered], [[1, 2, 3, 9, 0, 1, 2, 3, 4], 8, 2]);
});
