/**
 * What the scheduler costs beside the model: one step (`schedule` and `commit`) with 256 running requests must take at most 50 us.
 *
 *     deno bench -A bench/scheduler_bench.ts
 *
 * @module
 */
import { Scheduler } from "../engine/scheduler.ts";
import { Sequence } from "../engine/sequence.ts";

/** Sequences with prompts of their own that have all been computed, in a cache that never runs out. */
function running(count: number, promptLength: number, blockSize: number): Scheduler {
  const scheduler = new Scheduler({
    blocks: Math.ceil(count * 65_536 / blockSize / 8),
    blockSize,
    maxNumSeqs: count,
    maxNumBatchedTokens: Math.max(count, 8192),
    maxContext: 65_536,
    enablePrefixCaching: true,
  });
  for (let i = 0; i < count; i++) scheduler.add(new Sequence(Array.from({ length: promptLength }, (_, position) => i * 7919 + position)));
  const sampled = new Uint32Array(count);
  while (scheduler.waiting.length > 0 || scheduler.running.at(-1)!.computed < promptLength) {
    scheduler.commit(sampled.subarray(0, scheduler.schedule().outputRows.length));
  }
  return scheduler;
}

const sampled = Uint32Array.from({ length: 256 }, (_, i) => i * 31);
/** Steps of a measurement: a time per step, so that steps in which blocks fill up count with their share. */
const steps = 16;

for (const [count, context, blockSize] of [[1, 512, 16], [256, 64, 16], [256, 1024, 16], [256, 1024, 64], [256, 1024, 1], [256, 4096, 16]]) {
  let scheduler: Scheduler | null = null;
  Deno.bench(`decode: ${steps} steps of ${count} requests, context ${context}, blocks of ${blockSize}`, { group: `decode ${count}` }, (timer) => {
    // Contexts grow while they are measured: start over before that changes what is measured.
    if (scheduler === null || scheduler.running[0].tokens.length > context * 1.25) scheduler = running(count, context, blockSize);
    timer.start();
    for (let i = 0; i < steps; i++) {
      scheduler.schedule();
      scheduler.commit(sampled.subarray(0, count));
    }
    timer.end();
  });
}

Deno.bench("prefill: admit and schedule 8192 tokens of one prompt, nothing cached", { group: "prefill" }, (timer) => {
  const scheduler = new Scheduler({ blocks: 4096, blockSize: 16, maxNumSeqs: 8, maxNumBatchedTokens: 8192, maxContext: 65_536, enablePrefixCaching: true });
  scheduler.add(new Sequence(Array.from({ length: 8192 }, (_, i) => i)));
  timer.start();
  scheduler.schedule();
  timer.end();
});

Deno.bench("prefill: find 8192 tokens of one prompt in the cache", { group: "prefill" }, (timer) => {
  const scheduler = new Scheduler({ blocks: 4096, blockSize: 16, maxNumSeqs: 8, maxNumBatchedTokens: 8192, maxContext: 65_536, enablePrefixCaching: true });
  const prompt = Array.from({ length: 8192 }, (_, i) => i);
  scheduler.add(new Sequence(prompt));
  scheduler.schedule();
  scheduler.commit([1]);
  scheduler.remove(scheduler.running[0]);
  scheduler.add(new Sequence(prompt));
  timer.start();
  scheduler.schedule();
  timer.end();
});
