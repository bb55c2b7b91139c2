import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { alone, collect, endless, greedy, prompts, setUp, text, untilStep } from "../tests/fake_engine.ts";
import { DeviceError } from "./backend.ts";

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
      assertEquals([core.scheduler.running[1].computed, core.scheduler.waiting.length], [15, 1]);
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

Deno.test("a signal that lives on does not collect its requests", async () => {
  const { core } = setUp(), { signal } = new AbortController(), listeners = new Set<unknown>();
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  Object.assign(signal, {
    addEventListener: (type: string, listener: () => void) => (listeners.add(listener), add.call(signal, type, listener)),
    removeEventListener: (type: string, listener: () => void) => (listeners.delete(listener), remove.call(signal, type, listener)),
  });
  const streams = [core.add({ promptTokenIds: [1], signal }), core.add({ promptTokenIds: [1], signal })];
  assertEquals(listeners.size, 2);
  streams[0].abort();
  await Promise.all(streams.map((stream) => stream.result()));
  assertEquals(listeners.size, 0);
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
  await assertRejects(() => core.exclusive(() => Promise.reject(new DeviceError("The device was lost"))), DeviceError, "The device was lost");
  assertThrows(() => core.add({ promptTokenIds: [1] }), DeviceError, "The device was lost");
});

Deno.test("ten thousand random cancellations leave nothing behind and harm nobody", async () => {
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
  for (let round = 0; round < 500; round++) {
    const requests = Array.from({ length: 20 }, async () => {
      for (let i = random(5); i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
      await one(prompts[random(8)].slice(0, 1 + random(20)), random(4) === 0 ? Infinity : random(6));
    });
    await Promise.all(requests);
    assertIdle();
  }
});
