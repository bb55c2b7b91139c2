/**
 * One answer in the making: a sequence with what its request asks of it.
 *
 * @module
 */
import type { SampledToken } from "./host.ts";
import type { OutputText } from "./output_text.ts";
import type { CompletionOutput, FinishReason } from "./request_output.ts";
import type { SamplingParams } from "./sampling_params.ts";
import { Sequence } from "./sequence.ts";
import type { StopChecker } from "./stop_checker.ts";
import { synchronous } from "./synchronous.ts";

/**
 * Changes the logits of the next token in place.
 *
 * @param tokenIds Prompt and answer so far.
 * @param logits `[vocabSize]`; gone after the call.
 */
export type LogitsProcessor = (tokenIds: readonly number[], logits: Float32Array) => void;

/**
 * Sees the logits of each token.
 *
 * @param index Which of the `n` answers.
 * @param raw `[vocabSize]` as the model gave them.
 * @param processed `[vocabSize]` after processors and penalties, before temperature and top-k, top-p and min-p. Both may be kept.
 */
export type LogitsObserver = (index: number, raw: Float32Array, processed: Float32Array) => void;

/** What a {@link Completion} is made from. */
export interface CompletionInit {
  /** Kept: must not change. */
  readonly promptTokenIds: readonly number[];
  readonly priority: number;
  readonly index: number;
  readonly params: SamplingParams;
  readonly seed: bigint;
  readonly stopChecker: StopChecker;
  /** Null when no text is wanted. */
  readonly text: OutputText | null;
  readonly logitsProcessors: readonly LogitsProcessor[];
  readonly onLogits: LogitsObserver | undefined;
}

/** A sequence that knows how its tokens are chosen, when it ends, and what of it was already given out. */
export class Completion extends Sequence {
  /** The prompt; the same array at each step. */
  readonly promptTokenIds: readonly number[];
  readonly index: number;
  readonly params: SamplingParams;
  readonly seed: bigint;
  readonly stopChecker: StopChecker;
  readonly logitsProcessors: readonly LogitsProcessor[];
  readonly onLogits: LogitsObserver | undefined;
  /** Generated tokens. */
  readonly outputTokenIds: number[] = [];
  finishReason: FinishReason | null = null;
  stopReason: string | number | null = null;
  readonly #text: OutputText | null;
  /** Text that each token made showable, and what came after the last one. */
  readonly #pieces: string[] = [];
  #tail = "";
  #shown = "";
  readonly #samples: SampledToken[] = [];
  /** Sum of the log probabilities of the tokens given out. */
  #cumulativeLogprob = 0;
  /** Tokens, and whether the end, that {@link Completion.next} gave out. */
  #given = 0;
  #endGiven = false;

  /** @throws {RangeError} when the prompt is empty. */
  constructor(init: CompletionInit) {
    super(init.promptTokenIds, init.priority);
    this.promptTokenIds = init.promptTokenIds;
    this.index = init.index;
    this.params = init.params;
    this.seed = init.seed;
    this.stopChecker = init.stopChecker;
    this.logitsProcessors = init.logitsProcessors.map((process) => (tokenIds, logits) => synchronous("logits processor", process(tokenIds, logits)));
    this.onLogits = init.onLogits;
    this.#text = init.text;
  }

  /** Takes in a token that the scheduler has just appended, and ends the answer where it must end. */
  accept(sample: SampledToken): void {
    const { params, outputTokenIds } = this;
    outputTokenIds.push(sample.tokenId);
    if (params.logprobs !== undefined) this.#samples.push(sample);
    const stop = this.stopChecker.check(this.tokens, this.promptLength);
    if (this.finishReason !== null) return; // a criterion cancelled the request
    const isStopToken = stop !== null && this.stopChecker.stopTokenIds.has(sample.tokenId);
    // A stop token's text is no part of the answer, unless asked for.
    const piece = this.#text === null || isStopToken && !params.includeStopStrInOutput
      ? ""
      : this.#text.push(sample.tokenId, outputTokenIds.length > params.minTokens);
    this.#pieces.push(piece);
    this.#shown += piece;
    const stopString = this.#text?.stopString ?? null;
    if (stopString !== null) this.finish("stop", stopString);
    else if (stop !== null) this.finish(stop.finishReason, stop.stopReason);
  }

  /** Ends the answer. */
  finish(finishReason: FinishReason, stopReason: string | number | null = null): void {
    this.finishReason = finishReason;
    this.stopReason = stopReason;
    this.#tail = this.#text?.end() ?? "";
    this.#shown += this.#tail;
  }

  /** @returns Everything so far. */
  snapshot(): CompletionOutput {
    this.#give(this.outputTokenIds.length);
    return this.#output(this.#shown, 0);
  }

  /** @returns The next token with its text, or the end when no token is left to go with it; null when there is nothing new. */
  next(): CompletionOutput | null {
    if (!this.hasNews) return null;
    const start = this.#given, text = this.#pieces[start] ?? "";
    this.#give(Math.min(start + 1, this.outputTokenIds.length));
    return this.#output(this.#endGiven ? text + this.#tail : text, start);
  }

  /** Whether something is new since the last {@link Completion.snapshot} or {@link Completion.next}. */
  get hasNews(): boolean {
    return this.#given < this.outputTokenIds.length || this.finishReason !== null && !this.#endGiven;
  }

  /** Counts the tokens before `end` as given out, and the end with the last of them. */
  #give(end: number): void {
    for (let i = this.#given; i < end && this.params.logprobs !== undefined; i++) this.#cumulativeLogprob += this.#samples[i].logprob!;
    this.#given = end;
    this.#endGiven = this.finishReason !== null && end === this.outputTokenIds.length;
  }

  #output(text: string, start: number): CompletionOutput {
    const wantsLogprobs = this.params.logprobs !== undefined, ended = this.#endGiven;
    return {
      index: this.index,
      text,
      tokenIds: this.outputTokenIds.slice(start, this.#given),
      cumulativeLogprob: wantsLogprobs ? this.#cumulativeLogprob : undefined,
      logprobs: wantsLogprobs ? this.#samples.slice(start, this.#given) : undefined,
      finishReason: ended ? this.finishReason : null,
      stopReason: ended ? this.stopReason : null,
    };
  }
}
