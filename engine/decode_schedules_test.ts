import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { setUp, vocabSize } from "../tests/fake_engine.ts";
import { fakeNext } from "../tests/fake_model.ts";
import type { EngineRequest } from "./engine_core.ts";
import type { CompletionOutput } from "./request_output.ts";
import type { SamplingOptions } from "./sampling_params.ts";

/** A request, and what happens around it. */
interface Arrival {
  readonly prompt: number[];
  readonly params: SamplingOptions;
  readonly priority: number;
  /** Steps of the model before it comes. */
  readonly atStep: number;
  /** Whether its logits are changed, or looked at, by a function. */
  readonly watcher: "processor" | "observer" | undefined;
  /** After this token it cancels a request: itself, or another one. */
  readonly cancels: { token: number; request: number } | undefined;
}

type Sizes = { blocks: number; blockSize: number; maxNumSeqs: number; maxNumBatchedTokens: number; maxContext: number; enablePrefixCaching: boolean };

/** What became of a request: its answers, or the class of its error. */
type Outcome = readonly CompletionOutput[] | string;

/** Lets everything happen, on a device that makes up to so many tokens on its own. */
async function play(arrivals: readonly Arrival[], sizes: Sizes, maxDecodeSteps: number, areCancelled: boolean) {
  const { core, executable, assertIdle } = setUp(sizes), controllers = arrivals.map(() => new AbortController()), outcomes: Promise<Outcome>[] = [];
  executable.maxDecodeSteps = maxDecodeSteps;
  executable.isBad = (tokens) => tokens.length > 6 && fakeNext(tokens, 97) === 0;
  const arrive = (index: number) => {
    const { prompt, params, priority, watcher, cancels } = arrivals[index];
    const request: EngineRequest = {
      promptTokenIds: prompt.slice(0, core.scheduler.maxTokens - 1),
      samplingParams: params,
      priority,
      signal: controllers[index].signal,
      logitsProcessors: watcher === "processor" ? [(tokens, logits) => logits[tokens.length % vocabSize] += 3] : [],
      onLogits: watcher === "observer" ? (_, raw, processed) => assertEquals(raw.length, processed.length) : undefined,
      stoppingCriteria: areCancelled && cancels
        ? [(tokens, promptLength) => (tokens.length - promptLength === cancels.token && controllers[cancels.request % arrivals.length].abort(), false)]
        : [],
    };
    return core.add(request).result().then(({ outputs }) => outputs, (error: Error) => error.name);
  };
  const order = arrivals.map((_, index) => index).sort((a, b) => arrivals[a].atStep - arrivals[b].atStep);
  const arriveBefore = (step: number) => {
    while (order.length > 0 && arrivals[order[0]].atStep <= step) outcomes[order[0]] = arrive(order.shift()!);
  };
  executable.delay = () => Promise.resolve(arriveBefore(executable.steps));
  while (order.length > 0) {
    arriveBefore(arrivals[order[0]].atStep);
    await Promise.all(outcomes);
  }
  const done = await Promise.all(outcomes);
  assertIdle();
  return { done, executable, metrics: core.metrics() };
}

const isAborted = ({ finishReason }: CompletionOutput) => finishReason === "abort";

const params: fc.Arbitrary<SamplingOptions> = fc.record({
  temperature: fc.constantFrom(0, 1),
  seed: fc.nat(),
  n: fc.constantFrom(1, 1, 1, 2, 3),
  maxTokens: fc.oneof({ arbitrary: fc.integer({ min: 1, max: 40 }), weight: 5 }, { arbitrary: fc.constant(null), weight: 1 }),
  minTokens: fc.constantFrom(0, 0, 0, 1),
  ignoreEos: fc.boolean(),
  presencePenalty: fc.constantFrom(0, 0, 1, 0.5),
  repetitionPenalty: fc.constantFrom(1, 1, 2),
  logitBias: fc.constantFrom(undefined, undefined, { 3: 2, 4: -Infinity }),
  stop: fc.constantFrom([], [], ["ab", "d"]),
  stopTokenIds: fc.constantFrom([], [], [7, 11]),
  logprobs: fc.constantFrom(undefined, undefined, undefined, undefined, 2),
}).map((params) => params.temperature === 0 ? { ...params, n: 1 } : params);

const arrival: fc.Arbitrary<Arrival> = fc.record({
  // Few different beginnings, so that some are shared.
  prompt: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 24 })).map(([first, length]) =>
    Array.from({ length }, (_, i) => (first + i) % 25)
  ),
  params,
  priority: fc.integer({ min: 0, max: 1 }),
  atStep: fc.oneof(fc.constant(0), fc.nat(40)),
  watcher: fc.constantFrom(undefined, undefined, undefined, undefined, undefined, "processor" as const, "observer" as const),
  cancels: fc.option(fc.record({ token: fc.integer({ min: 1, max: 12 }), request: fc.nat(7) }), { nil: undefined, freq: 4 }),
});

const sizes: fc.Arbitrary<Sizes> = fc.record({
  blocks: fc.integer({ min: 8, max: 40 }),
  blockSize: fc.constantFrom(1, 3, 4, 8),
  maxNumSeqs: fc.integer({ min: 1, max: 6 }),
  maxNumBatchedTokens: fc.integer({ min: 6, max: 16 }),
  maxContext: fc.integer({ min: 20, max: 70 }),
  enablePrefixCaching: fc.boolean(),
});

Deno.test("whatever comes, stops and is cancelled: a device that draws tokens gives the answers of one that does not", async () => {
  let ahead = 0, cancelled = 0, failed = 0, preempted = 0;
  const property = fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 8 }), sizes, fc.integer({ min: 1, max: 9 }), async (arrivals, sizes, most) => {
    const expected = await play(arrivals, sizes, 0, false), got = await play(arrivals, sizes, most, true);
    got.done.forEach((outcome, i) => {
      const wanted = expected.done[i];
      if (typeof outcome === "string" || typeof wanted === "string") {
        failed++;
        return assert(outcome === wanted || typeof outcome !== "string" && outcome.some(isAborted), `${outcome} instead of ${wanted}`);
      }
      outcome.forEach((output, index) => {
        if (!isAborted(output)) return assertEquals(output, wanted[index]);
        cancelled++;
        assertEquals(output.tokenIds, wanted[index].tokenIds.slice(0, output.tokenIds.length));
      });
    });
    const counts = got.done.map((outcome) => typeof outcome === "string" ? NaN : outcome.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0));
    const generated = counts.reduce((sum, count) => sum + count, 0);
    if (!Number.isNaN(generated)) assertEquals(got.metrics.generatedTokens, generated);
    const { stop, length, abort } = got.metrics.finished;
    assertEquals(stop + length + abort, arrivals.reduce((sum, { params }) => sum + params.n!, 0), "an answer ended never or twice");
    ahead += Math.max(0, got.executable.mostSteps - 1), preempted += got.metrics.preemptions;
  });
  await fc.assert(property, { numRuns: 400 });
  assert(ahead > 0 && cancelled > 0 && failed > 0 && preempted > 0, `too tame: ${[ahead, cancelled, failed, preempted]}`);
});
