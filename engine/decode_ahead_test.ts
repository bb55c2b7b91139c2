import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { checkInvariants } from "../tests/check_invariants.ts";
import { alone, collect, endless, greedy, prompts, setUp, untilStep, vocabSize } from "../tests/fake_engine.ts";
import { loadHost } from "../wasm/host.ts";
import { DeviceError, noToken } from "./backend.ts";
import { DecodeBudget } from "./decode_budget.ts";
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
  assert(executable.mostSteps > 1, "the device made no tokens on its own");
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

Deno.test("several sequences, sampling and penalties are the device's business", async () => {
  const { core, executable, assertIdle } = setUpFast(), { core: plain } = setUp();
  const params = [{}, { temperature: 1, seed: 3 }, { presencePenalty: 1 }, { repetitionPenalty: 2, logitBias: { 3: 5 } }, { temperature: 1, n: 3, seed: 4 }];
  const answers = async ({ add }: Pick<typeof core, "add">) => {
    const requests = params.map((params, i) => ({ promptTokenIds: prompts[i], samplingParams: greedy({ maxTokens: 20 + i, ignoreEos: true, ...params }) }));
    const outputs = await Promise.all(requests.map((request) => add(request).result()));
    return outputs.flatMap(({ outputs }) => outputs.map(({ tokenIds }) => tokenIds));
  };
  assertEquals(await answers({ add: core.add.bind(core) }), await answers({ add: plain.add.bind(plain) }));
  assert(executable.mostSteps > 1 && executable.drawn >= 20 + 21 + 22 + 23 + 3 * 24, "the device draws every token, several at once");
  assertIdle();
});

Deno.test("whoever looks at logits gets a step for each token; the device draws the others' tokens", async () => {
  const onLogits = () => {}, logitsProcessors = [(_: readonly number[], logits: Float32Array) => logits.reverse()];
  const watchers = [{ samplingParams: greedy({ logprobs: 0 }) }, { onLogits }, { logitsProcessors }];
  for (const watcher of watchers) {
    const answers = async (maxDecodeSteps: number) => {
      const { core, executable, assertIdle } = setUp();
      executable.maxDecodeSteps = maxDecodeSteps;
      const requests = [{ promptTokenIds: [1], samplingParams: greedy(), ...watcher }, { promptTokenIds: [2], samplingParams: greedy() }];
      const outputs = await Promise.all(requests.map((request) => core.add(request).result()));
      if (maxDecodeSteps > 0) assertEquals([executable.mostSteps, executable.drawn], [1, outputs[1].outputs[0].tokenIds.length]);
      assertIdle();
      return outputs.map(({ outputs }) => outputs);
    };
    assertEquals(await answers(8), await answers(0));
  }
});

Deno.test("tokens that must not end the answer yet are the device's business", async () => {
  const { sampler } = await loadHost(), { core, executable, assertIdle } = setUp({}, { sampler }), { core: plain } = setUp({}, { sampler });
  const answer = endless([1, 2], 30), ends = new Set([answer[3], answer[11]]);
  executable.maxDecodeSteps = 8;
  const answers = async ({ add }: Pick<typeof core, "add">) => {
    const samplingParams = greedy({ maxTokens: 30, minTokens: 9, stopTokenIds: [...ends, vocabSize + 1] });
    const outputs = await Promise.all([[1, 2], [7]].map((promptTokenIds) => add({ promptTokenIds, samplingParams }).result()));
    return outputs.map(({ outputs: [{ tokenIds, finishReason }] }) => ({ tokenIds, finishReason }));
  };
  const made = await answers({ add: core.add.bind(core) });
  assertEquals(made, await answers({ add: plain.add.bind(plain) }));
  for (const { tokenIds } of made) assert(tokenIds.length >= 9 && tokenIds.slice(0, 9).every((id) => !ends.has(id)));
  assert(executable.mostSteps > 1 && executable.drawn >= made.flatMap(({ tokenIds }) => tokenIds).length);
  assertIdle();
});

Deno.test("where any token may follow, the device draws from logits that the host has changed, if it can", async () => {
  const { sampler } = await loadHost(),
    logitsProcessors = [(tokens: readonly number[], logits: Float32Array) => {
      if (tokens.length === 6) logits.fill(tokens[0] === 3 ? NaN : -Infinity, 1);
      if (tokens.length === 7 && tokens[0] === 4) throw new Error("not with me");
    }];
  const params = [
    { temperature: 1 },
    { temperature: 1, topP: 0.8, logitBias: { 2: 3 } },
    { temperature: 1 },
    { temperature: 1 },
    { temperature: 1, topK: 3 },
    {},
  ];
  const answers = async (canDraw: boolean) => {
    const { core, executable, assertIdle } = setUp({}, { sampler });
    let drawn = 0;
    executable.maxDecodeSteps = 8;
    if (canDraw) {
      executable.draw = (rows, sampling) => {
        drawn += rows.length;
        return Promise.resolve(Uint32Array.from(rows, (row, i) => row.some(Number.isNaN) ? noToken : sampler.sample(row, [sampling[i]])[0].tokenId));
      };
    }
    const outputs = await Promise.allSettled(params.map((params, seed) => {
      const samplingParams = greedy({ ...params, seed, maxTokens: 9, ignoreEos: true });
      return core.add({ promptTokenIds: [1 + seed, 2], logitsProcessors, samplingParams }).result();
    }));
    assertIdle();
    return { drawn, answers: outputs.map((output) => output.status === "fulfilled" ? output.value.outputs[0].tokenIds : output.reason.message.slice(0, 12)) };
  };
  const here = await answers(false), there = await answers(true);
  assertEquals([here.drawn, there.drawn], [0, 9 + 9 + 5 + 5]);
  assertEquals(there.answers, here.answers);
});

Deno.test("a token that cannot be biased is told as ever", async () => {
  const { core } = setUpFast(), sampler = (await loadHost()).sampler, { core: real } = setUp({}, { sampler });
  const samplingParams = greedy({ logitBias: { [vocabSize]: 1 } });
  await assertRejects(() => real.add({ promptTokenIds: [1], samplingParams }).result(), RangeError, "Cannot bias token 26: the vocabulary has 26");
  assertEquals((await core.add({ promptTokenIds: [1], samplingParams }).result()).outputs[0].tokenIds, alone([1], 20));
});

Deno.test("a prompt in between gets steps of its own", async () => {
  const { core, executable } = setUpFast({ maxContext: 60 }), steps: number[] = [], answer = endless([1], 50);
  const first = core.add({ promptTokenIds: [1], samplingParams: greedy({ maxTokens: 50, ignoreEos: true }) }).result();
  await untilStep(executable, 10);
  const { decode } = executable;
  executable.decode = (request) => (request.batch.tokens.length > 2 && steps.push(request.steps), decode.call(executable, request));
  await core.add({ promptTokenIds: prompts[3], samplingParams: greedy({ maxTokens: 2 }) }).result();
  assertEquals([steps, (await first).outputs[0].tokenIds], [[1, 1, 1], answer]);
});

Deno.test("logits without a number end their request, with all its answers, in the middle of what the device makes", async () => {
  const { core, executable, assertIdle } = setUpFast(), answer = endless([5], 5);
  executable.isBad = (tokens) => tokens.join() === [5, ...answer].join();
  const good = core.add({ promptTokenIds: [6], samplingParams: greedy({ maxTokens: 30, ignoreEos: true }) }).result();
  const seen: number[] = [], stoppingCriteria = [(tokens: readonly number[]) => (seen.push(tokens.at(-1)!), false)];
  const bad = core.add({ promptTokenIds: [5], stoppingCriteria, samplingParams: greedy({ maxTokens: 30, ignoreEos: true }) });
  await assertRejects(() => bad.result(), RangeError, "its logits have NaN, or all are -Infinity");
  assertEquals([seen, (await good).outputs[0].tokenIds], [answer, endless([6], 30)]);
  assert(executable.mostSteps > 1);
  assertIdle();
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
  assert(tokens.length > 30 && executable.mostSteps > 1);
  assertIdle();
});

Deno.test("a device that fails on its own rejects like any other", async () => {
  const { core, executable } = setUpFast();
  executable.failsAt = 5;
  await assertRejects(() => core.add({ promptTokenIds: [5], samplingParams: greedy({ ignoreEos: true }) }).result(), DeviceError, "The device was lost");
});

Deno.test("places ahead are only taken from free blocks, as many for each, and only a computed sequence advances", () => {
  const scheduler = new Scheduler({ blocks: 5, blockSize: 4, maxNumSeqs: 2, maxNumBatchedTokens: 9, maxContext: 100, enablePrefixCaching: true });
  const [a, b] = [new Sequence([1, 2, 3]), new Sequence([4, 5, 6, 7, 8, 9])];
  for (const sequence of [a, b]) scheduler.add(sequence);
  assertThrows(() => scheduler.reserveAhead(1), Error, "no step is under way");
  assertEquals(scheduler.schedule().ahead, 0);
  assertThrows(() => scheduler.advance(a, 1), RangeError, "0 of 3 tokens and 1 blocks");
  for (const [most, ahead, blocks] of [[0, 0, [1, 2]], [1, 1, [1, 2]], [2, 2, [2, 2]], [3, 3, [2, 3]], [99, 5, [2, 3]]] as const) {
    const step = scheduler.reserveAhead(most);
    checkInvariants(scheduler, step);
    assertEquals([step.ahead, [a.blocks.length, b.blocks.length]], [ahead, blocks]);
  }
  scheduler.commit([9, 9]);
  for (let i = 0; i < 5; i++) scheduler.advance(a, i), checkInvariants(scheduler);
  assertThrows(() => scheduler.advance(a, 5), RangeError, "8 of 9 tokens and 2 blocks");
  assertEquals([a.tokens, a.computed, a.registered], [[1, 2, 3, 9, 0, 1, 2, 3, 4], 8, 2]);
});

Deno.test("no places ahead of a step that cuts a prompt, or with a sequence that has left", () => {
  const scheduler = new Scheduler({ blocks: 5, blockSize: 4, maxNumSeqs: 2, maxNumBatchedTokens: 4, maxContext: 100, enablePrefixCaching: false });
  const [a, b] = [new Sequence([1]), new Sequence([4, 5, 6, 7])];
  for (const sequence of [a, b]) scheduler.add(sequence);
  scheduler.schedule();
  assertEquals(scheduler.reserveAhead(4).ahead, 0);
  scheduler.commit([1]);
  scheduler.schedule();
  scheduler.remove(a);
  assertEquals([scheduler.reserveAhead(4).ahead, b.blocks.length], [0, 1]);
});

Deno.test("tables that grow wider for what lies ahead hold every block", () => {
  const scheduler = new Scheduler({ blocks: 80, blockSize: 1, maxNumSeqs: 2, maxNumBatchedTokens: 40, maxContext: 100, enablePrefixCaching: false });
  for (const length of [31, 5]) scheduler.add(new Sequence(Array.from({ length }, (_, i) => i)));
  assertEquals(scheduler.schedule().blocksPerSequence, 32);
  const step = scheduler.reserveAhead(4);
  checkInvariants(scheduler, step);
  assertEquals([step.blocksPerSequence, step.ahead], [64, 4]);
});

Deno.test("the time of a step says how many there may be; more sequences may take as many times as long", () => {
  const budget = new DecodeBudget();
  assertEquals(budget.steps(1), 1);
  budget.add(20, 10, 2);
  assertEquals([1, 2, 4, 12, 64].map((sequences) => budget.steps(sequences)), [13, 13, 6, 2, 1]);
  budget.add(60, 1, 64);
  assertEquals([64, 1].map((sequences) => budget.steps(sequences)), [1, 1]);
});

Deno.test("counters are those of tokens that answers got", async () => {
  const { core } = setUpFast(), answer = endless([1, 2], 40);
  const samplingParams = greedy({ maxTokens: 40, ignoreEos: true, stopTokenIds: [answer[9]] });
  const { outputs: [{ tokenIds }] } = await core.add({ promptTokenIds: [1, 2], samplingParams }).result();
  const { generatedTokens, steps, finished } = core.metrics();
  assertEquals([generatedTokens, finished.stop], [tokenIds.length, 1]);
  assert(steps >= tokenIds.length && steps < tokenIds.length + 8);
});
