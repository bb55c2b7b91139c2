/**
 * The outputs of one request, made when they are read: a slow reader costs no memory and slows nobody down.
 *
 * @module
 */
import type { Completion } from "./completion.ts";
import type { RequestOutput, RequestTimings } from "./request_output.ts";
import type { RequestStream } from "./request_stream.ts";
import type { RequestOutputKind } from "./sampling_params.ts";

/** What a {@link PendingRequest} is made from. */
export interface PendingRequestInit {
  readonly requestId: string;
  readonly prompt: string | undefined;
  readonly completions: readonly Completion[];
  readonly outputKind: RequestOutputKind;
  /** Called by {@link PendingRequest.abort}: ends what is not finished. */
  readonly abort: () => void;
  /** Cancels the request. */
  readonly signal: AbortSignal | undefined;
}

/** A request, with what of it the engine changes. */
export class PendingRequest implements RequestStream {
  readonly requestId: string;
  /** Its answers. */
  readonly completions: readonly Completion[];
  /** When it got where. */
  readonly timings: { -readonly [K in keyof RequestTimings]: RequestTimings[K] };
  readonly #prompt: string | undefined;
  readonly #outputKind: RequestOutputKind;
  readonly #abort: () => void;
  readonly #signal: AbortSignal | undefined;
  #error: Error | null = null;
  /** Made when a reader waits. */
  #changed: PromiseWithResolvers<void> | null = null;

  /** Listens to the signal until {@link PendingRequest.end}. */
  constructor(init: PendingRequestInit) {
    this.requestId = init.requestId;
    this.completions = init.completions;
    this.timings = { arrivalMs: performance.now(), firstScheduledMs: null, firstTokenMs: null, finishedMs: null };
    this.#prompt = init.prompt;
    this.#outputKind = init.outputKind;
    this.#abort = init.abort;
    this.#signal = init.signal;
    this.#signal?.addEventListener("abort", this.#abort);
  }

  get finished(): boolean {
    return this.completions.every((completion) => completion.finishReason !== null);
  }

  /** Tells the reader that something changed, if it wants to know before the end. */
  notify(): void {
    if (this.#outputKind === "final" && this.#error === null && !this.finished) return;
    this.#changed?.resolve();
    this.#changed = null;
  }

  /** To be called when the last answer has ended. */
  end(): void {
    this.timings.finishedMs = performance.now();
    this.#signal?.removeEventListener("abort", this.#abort); // it may live on for many requests and must not collect them
    this.notify();
  }

  /** Lets the reader fail. */
  fail(error: Error): void {
    this.#error ??= error;
    this.notify();
  }

  abort(): void {
    this.#abort();
  }

  async result(): Promise<RequestOutput> {
    while (this.#error === null && !this.finished) await this.#change();
    if (this.#error !== null) throw this.#error;
    return this.#output(this.completions.map((completion) => completion.snapshot()), true);
  }

  async next(): Promise<IteratorResult<RequestOutput, void>> {
    while (true) {
      if (this.#error !== null) throw this.#error;
      const output = this.#take();
      if (output !== null) return { done: false, value: output };
      if (this.finished) return { done: true, value: undefined };
      await this.#change();
    }
  }

  return(): Promise<IteratorResult<RequestOutput, void>> {
    this.abort();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #change(): Promise<void> {
    this.#changed ??= Promise.withResolvers();
    return this.#changed.promise;
  }

  #take(): RequestOutput | null {
    const { completions, finished } = this;
    if (this.#outputKind === "delta") {
      const outputs = completions.map((completion) => completion.next()).filter((output) => output !== null);
      return outputs.length === 0 ? null : this.#output(outputs, finished && !completions.some((completion) => completion.hasNews));
    }
    if (this.#outputKind === "final" && !finished || !completions.some((completion) => completion.hasNews)) return null;
    return this.#output(completions.map((completion) => completion.snapshot()), finished);
  }

  #output(outputs: RequestOutput["outputs"], finished: boolean): RequestOutput {
    return {
      requestId: this.requestId,
      prompt: this.#prompt,
      promptTokenIds: this.completions[0].promptTokenIds,
      outputs,
      finished,
      numCachedTokens: Math.max(0, this.completions[0].cachedTokens),
      timings: { ...this.timings },
    };
  }
}
