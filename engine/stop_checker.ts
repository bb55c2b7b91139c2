/**
 * When an answer ends. Source: check_stop of vLLM (v1/core/sched/utils.py).
 *
 * @module
 */
import type { FinishReason } from "./request_output.ts";
import type { SamplingParams } from "./sampling_params.ts";
import { synchronous } from "./synchronous.ts";

/** Why an answer ended. */
export interface Stop {
  readonly finishReason: FinishReason;
  /** The stop string or stop token id; null for anything else. */
  readonly stopReason: string | number | null;
}

/**
 * Asked after each token whether the answer ends with it; what it ends with stays in the output, as in Transformers.
 *
 * @param tokenIds Prompt and answer.
 * @param promptLength How many of them are the prompt.
 */
export type StoppingCriterion = (tokenIds: readonly number[], promptLength: number) => boolean;

const eos: Stop = { finishReason: "stop", stopReason: null };
const length: Stop = { finishReason: "length", stopReason: null };

/** Finds out whether the last token, or the number of tokens, ends an answer. */
export class StopChecker {
  /** Tokens that end an answer; impossible before `minTokens`. */
  readonly stopTokenIds: ReadonlySet<number>;
  readonly #params: SamplingParams;
  readonly #eosTokenIds: ReadonlySet<number>;
  readonly #maxContext: number;
  readonly #criteria: readonly StoppingCriterion[];

  /** @param maxContext Most tokens of prompt and answer together. */
  constructor(params: SamplingParams, eosTokenIds: readonly number[], maxContext: number, criteria: readonly StoppingCriterion[]) {
    this.#params = params;
    this.#eosTokenIds = new Set(params.ignoreEos ? [] : eosTokenIds);
    this.stopTokenIds = new Set([...this.#eosTokenIds, ...params.stopTokenIds]);
    this.#maxContext = maxContext;
    this.#criteria = criteria;
  }

  /**
   * @param tokenIds Prompt and answer; the last one is new.
   * @returns Null when the answer goes on.
   */
  check(tokenIds: readonly number[], promptLength: number): Stop | null {
    const token = tokenIds[tokenIds.length - 1], outputLength = tokenIds.length - promptLength;
    if (outputLength >= this.#params.minTokens && this.stopTokenIds.has(token)) {
      return this.#eosTokenIds.has(token) ? eos : { finishReason: "stop", stopReason: token };
    }
    let ends = false;
    for (const criterion of this.#criteria) ends = synchronous("stopping criterion", criterion(tokenIds, promptLength)) || ends;
    if (ends) return eos;
    return outputLength >= this.#params.maxTokens || tokenIds.length >= this.#maxContext ? length : null;
  }
}
