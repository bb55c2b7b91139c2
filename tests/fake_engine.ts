/**
 * An engine over the fake model, and what it must answer.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { EngineCore, type EngineCoreParts } from "../engine/engine_core.ts";
import type { RequestOutput } from "../engine/request_output.ts";
import type { SamplingOptions } from "../engine/sampling_params.ts";
import type { SchedulerOptions } from "../engine/scheduler.ts";
import { checkInvariants } from "./check_invariants.ts";
import { FakeExecutable, fakeNext, fakeRope, fakeSampler, FakeTokenizer, letter } from "./fake_model.ts";

/** Sizes of the fake model. */
export const vocabSize = 26, eos = 25;

/** An engine over the fake model. */
export function setUp(options: Partial<SchedulerOptions> = {}, parts: Partial<EngineCoreParts> = {}) {
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
export function alone(prompt: number[], maxTokens: number, stopAt = eos): number[] {
  const tokens = [...prompt];
  do tokens.push(fakeNext(tokens, vocabSize)); while (tokens.length < prompt.length + maxTokens && tokens.at(-1) !== stopAt);
  return tokens.slice(prompt.length);
}
/** The same where end of text is ignored. */
export const endless = (prompt: number[], maxTokens: number) => alone(prompt, maxTokens, -1);

/** Prompts of hostile lengths that begin alike in part. */
export const prompts = Array.from({ length: 8 }, (_, i) => Array.from({ length: 3 + 11 * i % 40 }, (_, j) => (i % 3 * 7 + j) % 25));
/** Sampling parameters of tests that know the answer. */
export const greedy = (options: SamplingOptions = {}): SamplingOptions => ({ temperature: 0, maxTokens: 20, ...options });
/** All outputs of a request. */
export const collect = async (stream: AsyncIterable<RequestOutput>) => await Array.fromAsync(stream);
/** Text of tokens of the fake tokenizer. */
export const text = (tokenIds: readonly number[]) => tokenIds.map(letter).join("");
/** Until the engine has run this many steps. */
export async function untilStep(executable: FakeExecutable, step: number) {
  while (executable.steps < step) await new Promise((resolve) => setTimeout(resolve, 1));
}
