/**
 * Many requests, one model: the scheduler decides, the runner computes, and each request's stream tells its sender.
 *
 * @module
 */
import { DeviceError, type Executable } from "./backend.ts";
import type { BlockPool } from "./block_pool.ts";
import { Completion, type LogitsObserver, type LogitsProcessor } from "./completion.ts";
import { DecodeBudget } from "./decode_budget.ts";
import { type EngineMetrics, EngineStats } from "./engine_stats.ts";
import type { BpeTokenizer, SampledToken, Sampler } from "./host.ts";
import { ModelRunner, type RopeRows, type Sampled } from "./model_runner.ts";
import { nextTask } from "./next_task.ts";
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
  readonly #budget = new DecodeBudget();
  readonly #streams = new Map<Completion, PendingRequest>();
  #requests = 0;
  #isStepping = false;
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
    this.#runner = new ModelRunner(parts.executable, parts.rope, parts.sampler, parts.vocabSize);
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
    const prompt: readonly number[] = Array.from(promptTokenIds); // what the caller does to its own afterwards is of no matter
    const completions = Array.from({ length: params.n }, (_, index) => this.#completion(request, prompt, params, index));
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
        throw error instanceof DeviceError ? this.#error : error; // whoever closes the executable says why
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

  #completion(request: EngineRequest, promptTokenIds: readonly number[], params: SamplingParams, index: number): Completion {
    const { tokenizer, eosTokenIds = [] } = this.#parts, { skipSpecialTokens } = params;
    if (params.stop.length > 0 && tokenizer === undefined) throw new TypeError("Cannot look for stop strings: the engine has no tokenizer");
    return new Completion({
      promptTokenIds,
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
    let step = scheduler.schedule();
    const { sequences } = step;
    if (sequences.length === 0) return this.#failStuck(scheduler.waiting[0]);
    for (const completion of sequences) this.#streams.get(completion)!.timings.firstScheduledMs ??= startMs;
    const maxAhead = this.#runner.maxAhead(step);
    if (maxAhead > 0) step = scheduler.reserveAhead(Math.min(maxAhead, this.#wantedAhead(sequences)));
    const results = await this.#runner.run(step), elapsedMs = performance.now() - startMs;
    if (maxAhead > 0) this.#budget.add(elapsedMs, results.length, sequences.length);
    this.#stats.addSteps(results.length, elapsedMs, step.tokens.length + step.ahead * sequences.length, this.#accept(step, results));
  }

  /** Tokens that the device shall make after the next one of each sequence: what the time allows, and the answer that ends first. */
  #wantedAhead(sequences: readonly Completion[]): number {
    const left = sequences.map(({ params, outputTokenIds }) => params.maxTokens - outputTokenIds.length);
    return Math.min(this.#budget.steps(sequences.length), ...left) - 1;
  }

  /**
   * Takes in what a step made, token by token. What comes after the end of an answer is dropped: nobody reads its keys.
   *
   * @param results `[1 + ahead, outputs]`
   * @returns How many tokens answers got.
   */
  #accept({ sequences, outputSequences }: ScheduledStep<Completion>, results: readonly Sampled[][]): number {
    let count = 0;
    for (const [at, row] of results.entries()) {
      row.forEach((result, i) => {
        const completion = sequences[outputSequences[i]], stream = this.#streams.get(completion);
        if (result instanceof Error && stream) this.#fail(stream, result);
      });
      if (at === 0) this.scheduler.commit(row.map((result) => result instanceof Error ? 0 : result.tokenId));
      row.forEach((result, i) => {
        const completion = sequences[outputSequences[i]];
        if (result instanceof Error || !this.#streams.has(completion)) return;
        if (at > 0) this.scheduler.advance(completion, result.tokenId);
        this.#acceptToken(completion, result);
        count++;
      });
    }
    return count;
  }

  /** Gives a token to its answer. */
  #acceptToken(completion: Completion, sample: SampledToken): void {
    const stream = this.#streams.get(completion)!;
    try {
      completion.accept(sample);
    } catch (error) {
      return this.#fail(stream, asError(error));
    }
    stream.timings.firstTokenMs ??= performance.now();
    if (completion.finishReason !== null && this.#streams.has(completion)) this.#retire(completion, stream);
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

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
