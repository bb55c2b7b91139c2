import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { checkInvariants } from "../tests/check_invariants.ts";
import { fakeNext } from "../tests/fake_model.ts";
import type { ScheduledStep } from "./scheduled_step.ts";
import { Scheduler, type SchedulerOptions } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";

const options: SchedulerOptions = { blocks: 16, blockSize: 4, maxNumSeqs: 4, maxNumBatchedTokens: 16, maxContext: 64, enablePrefixCaching: true };
const prompt = (length: number, first = 100) => Array.from({ length }, (_, i) => first + i);

/** `schedule()` with all checks. */
function schedule<S extends Sequence>(scheduler: Scheduler<S>): ScheduledStep<S> {
  const step = scheduler.schedule();
  checkInvariants(scheduler, step);
  return step;
}

/** Commits what the fake model says. */
function commit(scheduler: Scheduler, step: ScheduledStep): void {
  scheduler.commit(Array.from(step.outputSequences, (i) => fakeNext(step.sequences[i].tokens, 50)));
  checkInvariants(scheduler);
}

/** Rows that each sequence gets. */
const counts = (step: ScheduledStep) => step.sequences.map((_, i) => step.queryStarts[i + 1] - step.queryStarts[i]);

Deno.test("a prompt is computed in steps of the budget, then a token at a time", () => {
  const scheduler = new Scheduler(options), sequence = new Sequence(prompt(20));
  scheduler.add(sequence);
  const first = schedule(scheduler);
  assertEquals([counts(first), [...first.outputRows]], [[16], []]);
  commit(scheduler, first);
  const second = schedule(scheduler);
  assertEquals([counts(second), [...second.positions], [...second.outputRows]], [[4], [16, 17, 18, 19], [3]]);
  commit(scheduler, second);
  assertEquals([sequence.tokens.length, sequence.computed], [21, 20]);
  const third = schedule(scheduler);
  assertEquals([counts(third), [...third.positions], [...third.contextLengths]], [[1], [20], [21]]);
});

Deno.test("answers come first, the rest of the budget goes to prompts", () => {
  const scheduler = new Scheduler(options), [a, b, c] = [new Sequence(prompt(3)), new Sequence(prompt(30, 200)), new Sequence(prompt(2, 300))];
  scheduler.add(a);
  commit(scheduler, schedule(scheduler));
  scheduler.add(b);
  scheduler.add(c);
  const step = schedule(scheduler);
  assertEquals([step.sequences, counts(step)], [[a, b], [1, 15]]);
  commit(scheduler, step);
  const next = schedule(scheduler);
  assertEquals([next.sequences, counts(next)], [[a, b], [1, 15]]);
  commit(scheduler, next);
  assertEquals(counts(schedule(scheduler)), [1, 1, 2]);
});

Deno.test("no more sequences run than maxNumSeqs", () => {
  const scheduler = new Scheduler({ ...options, maxNumSeqs: 2 });
  for (let i = 0; i < 3; i++) scheduler.add(new Sequence(prompt(2, i * 10)));
  const step = schedule(scheduler);
  assertEquals(step.sequences.length, 2);
  commit(scheduler, step);
  scheduler.remove(step.sequences[0]);
  assertEquals(schedule(scheduler).sequences.length, 2);
});

Deno.test("lower priority values run first, equal ones in order of arrival", () => {
  const scheduler = new Scheduler({ ...options, maxNumSeqs: 1 }), done: Sequence[] = [];
  const [a, b, c, d] = [0, 1, -1, 0].map((priority) => new Sequence(prompt(2), priority));
  for (const sequence of [a, b, c, d]) scheduler.add(sequence);
  while (scheduler.hasWork) {
    const step = schedule(scheduler);
    commit(scheduler, step);
    done.push(step.sequences[0]);
    scheduler.remove(step.sequences[0]);
  }
  assertEquals(done, [c, a, d, b]);
});

Deno.test("a known beginning is shared; at least one token is computed", () => {
  const scheduler = new Scheduler(options), [a, b, c] = [new Sequence(prompt(8)), new Sequence(prompt(8)), new Sequence([...prompt(4), 1, 2])];
  scheduler.add(a);
  commit(scheduler, schedule(scheduler));
  scheduler.remove(a);
  for (const sequence of [b, c]) scheduler.add(sequence);
  const step = schedule(scheduler);
  assertEquals([counts(step), b.cachedTokens, c.cachedTokens], [[4, 2], 4, 4]);
  assertEquals(b.blocks[0], c.blocks[0]);
  assertEquals(scheduler.counts, { prefixQueries: 8 + 8 + 6, prefixHits: 8, preemptions: 0 });
});

Deno.test("sequences that begin alike share what the same step computes", () => {
  const scheduler = new Scheduler(options), [a, b] = [new Sequence(prompt(10)), new Sequence(prompt(10))];
  for (const sequence of [a, b]) scheduler.add(sequence);
  assertEquals(counts(schedule(scheduler)), [10, 2]);
  assertEquals(a.blocks.slice(0, 2), b.blocks.slice(0, 2));
  assert(a.blocks[2] !== b.blocks[2]);
});

Deno.test("without prefix caching nothing is shared", () => {
  const scheduler = new Scheduler({ ...options, enablePrefixCaching: false }), sequences = [new Sequence(prompt(8)), new Sequence(prompt(8))];
  for (const sequence of sequences) scheduler.add(sequence);
  assertEquals(counts(schedule(scheduler)), [8, 8]);
});

Deno.test("when blocks run out the last in rank starts over and keeps its tokens", () => {
  const scheduler = new Scheduler({ ...options, blocks: 4, enablePrefixCaching: false }), [a, b] = [new Sequence(prompt(8)), new Sequence(prompt(8, 200))];
  for (const sequence of [a, b]) scheduler.add(sequence);
  commit(scheduler, schedule(scheduler));
  const step = schedule(scheduler);
  assertEquals([step.sequences, b.status, b.computed, b.tokens.length, scheduler.counts.preemptions], [[a], "waiting", 0, 9, 1]);
  commit(scheduler, step);
  scheduler.remove(a);
  const again = schedule(scheduler);
  assertEquals([again.sequences, counts(again)], [[b], [9]]);
});

Deno.test("who has just started over waits for the next step, though a part of it would fit", () => {
  const scheduler = new Scheduler({ ...options, blocks: 4, maxNumBatchedTokens: 5, enablePrefixCaching: false });
  const [a, b] = [new Sequence(prompt(4)), new Sequence(prompt(11, 200))];
  for (const sequence of [a, b]) scheduler.add(sequence);
  for (let i = 0; i < 2; i++) commit(scheduler, schedule(scheduler));
  assertEquals([a.blocks.length, b.blocks.length, b.computed], [2, 2, 5]);
  assertEquals([schedule(scheduler).sequences, b.status, scheduler.pool.free], [[a], "waiting", 2]);
});

Deno.test("a step may lose a sequence before it is committed", () => {
  const scheduler = new Scheduler(options), [a, b] = [new Sequence(prompt(5)), new Sequence(prompt(5, 50))];
  for (const sequence of [a, b]) scheduler.add(sequence);
  const step = schedule(scheduler);
  scheduler.remove(a);
  scheduler.commit([1, 2]);
  checkInvariants(scheduler, undefined);
  assertEquals([a.tokens.length, a.status, b.tokens.at(-1)], [5, "finished", 2]);
  assertEquals(step.sequences.length, 2);
  scheduler.remove(b);
  assertEquals(scheduler.pool.free, options.blocks);
});

Deno.test("what can never fit is refused with both numbers", () => {
  const tokens = prompt(20);
  assertThrows(() => new Scheduler({ ...options, maxContext: 20 }).add(new Sequence(tokens)), RangeError, "a prompt of 20 tokens: the context holds 20");
  assertThrows(() => new Scheduler({ ...options, blocks: 3 }).add(new Sequence(tokens)), RangeError, "a prompt of 20 tokens: the context holds 12");
  new Scheduler({ ...options, maxContext: 21 }).add(new Sequence(tokens));
  assertThrows(() => new Sequence([]), RangeError, "empty prompt");
});

Deno.test("misuse and wrong sizes are errors", () => {
  const scheduler = new Scheduler(options);
  assertThrows(() => scheduler.commit([]), Error, "no step is under way");
  scheduler.add(new Sequence(prompt(2)));
  scheduler.schedule();
  assertThrows(() => scheduler.schedule(), Error, "was not committed");
  assertThrows(() => scheduler.commit([1, 2]), RangeError, "the step has 1 outputs");
  assertThrows(() => new Scheduler({ ...options, maxNumSeqs: 0 }), RangeError, "maxNumSeqs 0");
  assertThrows(() => new Scheduler({ ...options, maxNumBatchedTokens: 3 }), RangeError, "at least maxNumSeqs");
});

interface Arrival {
  readonly atStep: number;
  readonly prompt: number[];
  readonly outputs: number;
  readonly priority: number;
  readonly abortAfter: number;
}
/** Few different tokens, so that prompts share beginnings. */
const arrivals = fc.array(
  fc.record({
    atStep: fc.nat(20),
    prompt: fc.array(fc.nat(1), { minLength: 1, maxLength: 14 }),
    outputs: fc.integer({ min: 1, max: 12 }),
    priority: fc.integer({ min: -1, max: 1 }),
    abortAfter: fc.oneof({ weight: 4, arbitrary: fc.constant(Infinity) }, { weight: 1, arbitrary: fc.nat(15) }),
  }),
  { minLength: 1, maxLength: 12 },
);
const sizes = fc.record({
  blocks: fc.integer({ min: 1, max: 24 }),
  blockSize: fc.constantFrom(1, 2, 3, 4, 16),
  maxNumSeqs: fc.integer({ min: 1, max: 5 }),
  extraTokens: fc.nat(12),
  maxContext: fc.integer({ min: 8, max: 40 }),
  enablePrefixCaching: fc.boolean(),
});

Deno.test("whatever arrives and leaves: invariants hold, everybody finishes, answers are those of a run alone", () => {
  fc.assert(
    fc.property(sizes, arrivals, ({ extraTokens, ...sizes }, arrivals) => {
      const scheduler = new Scheduler({ ...sizes, maxNumBatchedTokens: sizes.maxNumSeqs + extraTokens });
      // Keys of each slot, as a device holds them: what a row sees is read back from here.
      const cache = new Int32Array(sizes.blocks * sizes.blockSize);
      const pending = new Set<Arrival>(arrivals), live = new Map<Sequence, Arrival>();
      for (let stepNumber = 0; pending.size > 0 || live.size > 0; stepNumber++) {
        assert(stepNumber < 3000, "somebody starves");
        for (const arrival of pending) {
          if (arrival.atStep > stepNumber) continue;
          pending.delete(arrival);
          const sequence = new Sequence(arrival.prompt, arrival.priority);
          if (arrival.prompt.length >= scheduler.maxTokens) assertThrows(() => scheduler.add(sequence), RangeError);
          else scheduler.add(sequence), live.set(sequence, arrival);
        }
        const step = schedule(scheduler);
        assert(step.sequences.length > 0 || live.size === 0, "work, but an empty step");
        const { sequences, contextLengths, blockTables, blocksPerSequence } = step;
        step.slots.forEach((slot, row) => cache[slot] = step.tokens[row]);
        for (const [sequence, arrival] of live) {
          // Cancelled while the step is under way.
          if (stepNumber - arrival.atStep === arrival.abortAfter) scheduler.remove(sequence), live.delete(sequence);
        }
        if (sequences.length > 0) {
          scheduler.commit(Array.from(step.outputSequences, (i) => {
            const seen = Array.from({ length: contextLengths[i] }, (_, position) => {
              const block = blockTables[i * blocksPerSequence + Math.floor(position / sizes.blockSize)];
              return cache[block * sizes.blockSize + position % sizes.blockSize];
            });
            return fakeNext(seen, 2);
          }));
        }
        checkInvariants(scheduler);
        for (const [sequence, { outputs, prompt }] of live) {
          if (sequence.outputLength < outputs && sequence.tokens.length < scheduler.maxTokens) continue;
          const alone = [...prompt];
          while (alone.length < sequence.tokens.length) alone.push(fakeNext(alone, 2));
          assertEquals(sequence.tokens, alone);
          scheduler.remove(sequence);
          live.delete(sequence);
        }
        checkInvariants(scheduler);
      }
      assertEquals(scheduler.pool.free, sizes.blocks);
    }),
    { numRuns: 400 },
  );
});
