/**
 * What a request gives back, named as in vLLM (outputs.py).
 *
 * @module
 */
import type { SampledToken } from "./host.ts";

/** Why an answer ended: a stop token, stop string or criterion; the most tokens or a full context; a cancellation. */
export type FinishReason = "stop" | "length" | "abort";

/** One answer of a request. */
export interface CompletionOutput {
  /** Which of the `n` answers. */
  readonly index: number;
  /** Text so far; in a stream of kind `delta`, what is new. Never half a character, nothing that a stop string may still take back. */
  readonly text: string;
  /** Generated tokens so far, the one that ended the answer included; in a stream of kind `delta`, the new one. */
  readonly tokenIds: readonly number[];
  /** Sum of the log probabilities of all tokens so far, when they were asked for. */
  readonly cumulativeLogprob: number | undefined;
  /** For each of `tokenIds` its log probability and the most likely alternatives, when asked for; of the model's distribution, before any processing. */
  readonly logprobs: readonly SampledToken[] | undefined;
  /** Null while the answer goes on. */
  readonly finishReason: FinishReason | null;
  /** The stop string or stop token id; null for anything else, end-of-text among it. */
  readonly stopReason: string | number | null;
}

/** Times of a request in milliseconds since the start of the process (`performance.now()`); null: not yet. */
export interface RequestTimings {
  /** When the engine took it in. */
  readonly arrivalMs: number;
  /** When its first step began. */
  readonly firstScheduledMs: number | null;
  /** When its first token was there. */
  readonly firstTokenMs: number | null;
  /** When its last answer ended. */
  readonly finishedMs: number | null;
}

/** State of a request. */
export interface RequestOutput {
  /** The request's, or a number. */
  readonly requestId: string;
  /** The prompt's text, when it was given as one. */
  readonly prompt: string | undefined;
  /** The prompt's tokens. */
  readonly promptTokenIds: readonly number[];
  /** The answers; in a stream of kind `delta`, those with something new. */
  readonly outputs: readonly CompletionOutput[];
  /** Whether every answer has ended. */
  readonly finished: boolean;
  /** Prompt tokens that did not have to be computed. */
  readonly numCachedTokens: number;
  /** When it got where. */
  readonly timings: RequestTimings;
}
