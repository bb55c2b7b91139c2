/**
 * Many requests, one model: the scheduler decides, the runner computes, and each request's stream tells its sender.
 *
 * @module
 */
import { DeviceError, type Executable } from "./backend.ts";
import type { BlockPool } from "./block_pool.ts";
import { Completion, type LogitsObserver, type LogitsProcessor } from "./completion.ts";
import { type EngineMetrics, EngineStats } from "./engine_stats.ts";
import type { BpeTokenizer, SampledToken, Sampler } from "./host.ts";
import { ModelRunner, type RopeRows } from "./model_runner.ts";
import { OutputText } from "./output_text.ts";
import { PendingRequest } from "./pending_request.ts";
import type { RequestStream } from "./request_stream.ts";
import { type SamplingOptions, SamplingParams } from "./sampling_params.ts";
import type { ScheduledStep } from "./scheduled_step.ts";
import { Scheduler, type SchedulerOptions } from "./scheduler.ts";
import { StopChecker, type StoppingCriterion } from "./stop_checker.ts";

/** Parts of an {@link EngineCore}. */
export interface EngineCoreParts {
  /** Compiled for these scheduler options: as many rows as `maxNumBatchedTokens`, outputs and sequences as `maxNumSeqs`. */
  readonly executable: Executable;
  /** Makes the rotations of each row. */
  readonly rope: RopeRows;
  /** Draws tokens from logits. */
  readonly sampler: Sampler;
  /** Logits of a row. */
  readonly vocabSize: number;
  /** Makes text of tokens. Without one, outputs have no text and stop strings are refused. */
  readonly tokenizer?: Pick<BpeTokenizer, "detokenizer">;
  /** Tokens that end an answer. */
  readonly eosTokenIds?: readonly number[];
  /** Sizes. */
  readonly scheduler: SchedulerOptions;
}

/** A request with its prompt as tokens. */
export interface EngineRequest {
  /** Default: a number. */
  readonly requestId?: string;
  /** The prompt's text, to be given back in outputs. */
  readonly prompt?: string;
  /** The prompt. */
  readonly promptTokenIds: ArrayLike<number>;
  /** How tokens are chosen and when the answer ends. */
  readonly samplingParams?: SamplingParams | SamplingOptions;
  /** Lower runs first. Default 0. */
  readonly priority?: number;
  /** Cancels the request, whatever it is doing. */
  readonly signal?: AbortSignal;
  /** Replaces the engine's. */
  readonly eosTokenIds?: readonly number[];
  /** Applied in order, before everything that the sampling parameters ask for. */
  readonly logitsProcessors?: readonly LogitsProcessor[];
  /** All are asked after each token; one is enough to end the answer. */
  readonly stoppingCriteria?: readonly StoppingCriterion[];
  /** Sees the logits of each token. */
  readonly onLogits?: LogitsObserver;
}

/** Serves requests; steps while there is work and rests otherwise. */
export class EngineCore {
  /** What is computed next; to be looked at only. */
  readonly scheduler: Scheduler<Completion>;
  readonly #parts: EngineCoreParts;
  readonly #runner: ModelRunner;
  readonly #stats = new EngineStats();
  readonly #streams = new Map<Completion, PendingRequest>();
  #requests = 0;
  #isStepping = false;
  /** Time in milliseconds of a token in the last {@link EngineCore.#decode}; before the first: long. */
  #decodeMs = Infinity;
  #error: Error | null = null;
  /** The last of those who use the executable. */
  #lastUse: Promise<unknown> = Promise.resolve();

  /** @throws {RangeError} when a size of the scheduler is out of range. */
  constructor(parts: EngineCoreParts) {
    const { rope, scheduler: { maxContext, enablePrefixCaching } } = parts;
    // Where frequencies depend on the length of the whole text, keys of equal tokens differ between requests.
    const canShare = rope.inverseFrequencies(1).join() === rope.inverseFrequencies(maxContext).join();
    this.#parts = parts;
    this.scheduler = new Scheduler({ ...parts.scheduler, enablePrefixCaching: enablePrefixCaching && canShare });
    this.#runner = new ModelRunner(parts.executable, parts.rope, parts.sampler, parts.vocabSize, parts.scheduler.maxNumBatchedTokens);
  }

  /** Blocks of the KV cache, for those who run batches of their own: see {@link EngineCore.exclusive}. */
  get pool(): BlockPool {
    return this.scheduler.pool;
  }

  /**
   * Takes a request in. It starts with the next step, whether or not its outputs are read.
   *
   * @throws {RangeError} when the prompt is empty, longer than the context, or has an unknown token; when a sampling parameter is out of range.
   * @throws {TypeError} when a sampling parameter has the wrong type.
   * @throws What made the device fail, when it has.
   */
  add(request: EngineRequest): RequestStream {
    if (this.#error !== null) throw this.#error;
    const { promptTokenIds, signal } = request;
    for (let i = 0; i < promptTokenIds.length; i++) {
      const id = promptTokenIds[i];
      if (!(Number.isInteger(id) && id >= 0 && id < this.#parts.vocabSize)) {
        throw new RangeError(`Cannot use token id ${id} at position ${i} of the prompt: the vocabulary has ${this.#parts.vocabSize}`);
      }
    }
    const given = request.samplingParams, params = given instanceof SamplingParams ? given : new SamplingParams(given);
    const completions = Array.from({ length: params.n }, (_, index) => this.#completion(request, params, index));
    const requestId = request.requestId ?? String(this.#requests);
    const abort = () => this.#abort(stream);
    const stream = new PendingRequest({ requestId, prompt: request.prompt, completions, outputKind: params.outputKind, abort, signal });
    for (const completion of completions) {
      this.scheduler.add(completion);
      this.#streams.set(completion, stream);
    }
    this.#requests++;
    if (signal?.aborted) stream.abort();
    if (!this.#isStepping) this.#run();
    return stream;
  }

  /**
   * Runs something else on the executable, between two steps. Blocks that it needs longer than that it takes from {@link EngineCore.pool}.
   *
   * @throws What `work` throws, or what made the device fail.
   */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const use = this.#lastUse.then(async () => {
      if (this.#error !== null) throw this.#error;
      try {
        return await work();
      } catch (error) {
        if (error instanceof DeviceError) this.close(error);
        throw error;
      }
    });
    this.#lastUse = use.catch(() => {});
    return use;
  }

  /** Counters and rates. */
  metrics(): EngineMetrics {
    return this.#stats.metrics(this.scheduler);
  }

  /**
   * Ends everything: pending requests and later calls fail with this error. The executable is its owner's to close.
   *
   * @param error Default: a plain error that says that the engine is closed.
   */
  close(error: Error = new Error("The engine is closed")): void {
    this.#error ??= error;
    for (const stream of new Set(this.#streams.values())) this.#fail(stream, this.#error);
  }

  #completion(request: EngineRequest, params: SamplingParams, index: number): Completion {
    const { tokenizer, eosTokenIds = [] } = this.#parts, { skipSpecialTokens } = params;
    if (params.stop.length > 0 && tokenizer === undefined) throw new TypeError("Cannot look for stop strings: the engine has no tokenizer");
    return new Completion({
      promptTokenIds: request.promptTokenIds,
      priority: request.priority ?? 0,
      index,
      params,
      seed: params.seed === undefined ? crypto.getRandomValues(new BigUint64Array(1))[0] : BigInt.asUintN(64, params.seed + BigInt(index)),
      stopChecker: new StopChecker(params, request.eosTokenIds ?? eosTokenIds, this.scheduler.maxTokens, request.stoppingCriteria ?? []),
      text: params.detokenize && tokenizer
        ? new OutputText(() => tokenizer.detokenizer({ skipSpecialTokens }), params.stop, params.includeStopStrInOutput)
        : null,
      logitsProcessors: request.logitsProcessors ?? [],
      onLogits: request.onLogits,
    });
  }

  async #run(): Promise<void> {
    this.#isStepping = true;
    try {
      while (this.scheduler.hasWork && this.#error === null) {
        await nextTask();
        await this.exclusive(() => this.#step());
      }
    } catch (error) {
      this.close(asError(error));
    }
    this.#isStepping = false;
  }

  async #step(): Promise<void> {
    const { scheduler } = this, startMs = performance.now();
    if (!scheduler.hasWork) return;
    const step = scheduler.schedule(), { sequences, outputSequences } = step;
    if (sequences.length === 0) return this.#failStuck(scheduler.waiting[0]);
    for (const completion of sequences) this.#streams.get(completion)!.timings.firstScheduledMs ??= startMs;
    const decodeSteps = this.#decodeSteps(step);
    if (decodeSteps > 0) return this.#decode(step, decodeSteps);
    const results = await this.#runner.run(step);
    for (let i = 0; i < results.length; i++) {
      const result = results[i], stream = this.#streams.get(sequences[outputSequences[i]]);
      if (result instanceof Error && stream) this.#fail(stream, result);
    }
    scheduler.commit(results.map((result) => result instanceof Error ? 0 : result.tokenId));
    this.#stats.addStep(performance.now() - startMs, step.tokens.length, results.length);
    for (let i = 0; i < results.length; i++) {
      const result = results[i], completion = sequences[outputSequences[i]];
      if (!(result instanceof Error)) this.#accept(completion, result);
    }
  }

  /** Tokens that the device makes of a step on its own, if it can: no more than newcomers can wait for. */
  #decodeSteps(step: ScheduledStep<Completion>): number {
    const most = this.#runner.maxDecodeSteps(step);
    if (most === 0) return 0;
    const [completion] = step.sequences, left = completion.params.maxTokens - completion.outputTokenIds.length;
    return 1 + this.scheduler.reserveAhead(completion, Math.min(most, left, Math.max(2, Math.floor(maxDecodeMs / this.#decodeMs))) - 1);
  }

  /** Lets the device make several tokens. What comes after the end is dropped: nobody reads its keys. */
  async #decode(step: ScheduledStep<Completion>, decodeSteps: number): Promise<void> {
    const [completion] = step.sequences, startMs = performance.now(), tokens = await this.#runner.decode(step, decodeSteps);
    const elapsedMs = performance.now() - startMs;
    this.#decodeMs = elapsedMs / decodeSteps;
    this.#stats.addStep(elapsedMs, decodeSteps, decodeSteps);
    this.scheduler.commit(tokens.subarray(0, 1));
    for (let i = 0; i < decodeSteps && this.#streams.has(completion); i++) {
      if (i > 0) this.scheduler.advance(completion, tokens[i]);
      this.#accept(completion, { tokenId: tokens[i] });
    }
  }

  /** Gives a token to its answer, unless that was cancelled while the token was computed. */
  #accept(completion: Completion, sample: SampledToken): void {
    const stream = this.#streams.get(completion);
    if (stream === undefined) return;
    try {
      completion.accept(sample);
    } catch (error) {
      return this.#fail(stream, asError(error));
    }
    stream.timings.firstTokenMs ??= performance.now();
    if (completion.finishReason !== null) this.#retire(completion, stream);
    stream.notify();
  }

  /** Takes an answer that has ended out of everything. */
  #retire(completion: Completion, stream: PendingRequest): void {
    this.scheduler.remove(completion);
    this.#streams.delete(completion);
    this.#stats.addFinished(completion.finishReason!);
    if (stream.finished) stream.end();
  }

  #abort(stream: PendingRequest): void {
    for (const completion of stream.completions) {
      if (completion.finishReason !== null) continue;
      completion.finish("abort");
      this.#retire(completion, stream);
    }
  }

  #fail(stream: PendingRequest, error: Error): void {
    stream.fail(error);
    this.#abort(stream);
  }

  /** Nobody runs and the first in rank finds no blocks: those who use the pool beside the scheduler hold too many. */
  #failStuck(completion: Completion): void {
    const { pool } = this, { tokens } = completion;
    const message = `Cannot continue a request of ${tokens.length} tokens: only ${pool.free} of ${pool.blocks} cache blocks of ${pool.blockSize} are free`;
    this.#fail(this.#streams.get(completion)!, new RangeError(message));
  }
}

/** Time in milliseconds for which a device may make tokens on its own. */
const maxDecodeMs = 25;

/** Lets timers, input and cancellations in. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => typeof setImmediate === "function" ? setImmediate(resolve) : setTimeout(resolve));
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
