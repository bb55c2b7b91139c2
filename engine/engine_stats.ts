/**
 * Counters of an engine.
 *
 * @module
 */
import type { FinishReason } from "./request_output.ts";
import type { Scheduler } from "./scheduler.ts";

/** What an engine is doing and has done. Counters start with the engine. */
export interface EngineMetrics {
  /** Answers that are being computed. */
  readonly running: number;
  /** Answers that wait for their turn. */
  readonly waiting: number;
  /** Share of the cache's blocks in use, 0 to 1. */
  readonly cacheUsage: number;
  /** Share of prompt tokens that were found in the cache, 0 to 1. */
  readonly prefixCacheHitRate: number;
  /** Generated tokens per second of computing, over the last steps. */
  readonly tokensPerSecond: number;
  /** The same for all tokens, those of prompts included. */
  readonly computedTokensPerSecond: number;
  /** Prompt tokens of answers that have started. */
  readonly promptTokens: number;
  /** Tokens of answers. */
  readonly generatedTokens: number;
  /** Steps of the model. */
  readonly steps: number;
  /** How often an answer lost its blocks and had to be computed again. */
  readonly preemptions: number;
  /** Answers by why they ended. */
  readonly finished: Readonly<Record<FinishReason, number>>;
}

/** Calls of the device that rates are taken over. */
const recentCalls = 64;

/** Adds up what steps do. */
export class EngineStats {
  readonly #elapsedMs = new Float64Array(recentCalls);
  readonly #computed = new Float64Array(recentCalls);
  readonly #generated = new Float64Array(recentCalls);
  #calls = 0;
  #steps = 0;
  #generatedTokens = 0;
  readonly #finished: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0 };

  /**
   * Counts steps that were made in one go.
   *
   * @param computed Tokens that went through the model.
   * @param generated Tokens that answers got.
   */
  addSteps(steps: number, elapsedMs: number, computed: number, generated: number): void {
    const at = this.#calls++ % recentCalls;
    this.#steps += steps;
    this.#elapsedMs[at] = elapsedMs;
    this.#computed[at] = computed;
    this.#generated[at] = generated;
    this.#generatedTokens += generated;
  }

  /** Counts an answer that has ended. */
  addFinished(reason: FinishReason): void {
    this.#finished[reason]++;
  }

  /** @returns Everything, with the state of the scheduler. */
  metrics({ running, waiting, pool, counts }: Scheduler): EngineMetrics {
    const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0), seconds = sum(this.#elapsedMs) / 1000;
    return {
      running: running.length,
      waiting: waiting.length,
      cacheUsage: 1 - pool.free / pool.blocks,
      prefixCacheHitRate: counts.prefixQueries === 0 ? 0 : counts.prefixHits / counts.prefixQueries,
      tokensPerSecond: seconds === 0 ? 0 : sum(this.#generated) / seconds,
      computedTokensPerSecond: seconds === 0 ? 0 : sum(this.#computed) / seconds,
      promptTokens: counts.prefixQueries,
      generatedTokens: this.#generatedTokens,
      steps: this.#steps,
      preemptions: counts.preemptions,
      finished: { ...this.#finished },
    };
  }
}
