/**
 * A request as its sender sees it.
 *
 * @module
 */
import type { RequestOutput } from "./request_output.ts";

/**
 * The outputs of one request: iterate over it once, or await {@link RequestStream.result}. Outputs are made when they are read, so a slow reader costs no
 * memory and slows nobody down. Leaving the iteration early cancels the request.
 */
export interface RequestStream extends AsyncIterableIterator<RequestOutput, void> {
  /** Name of the request in its outputs. */
  readonly requestId: string;
  /** Whether every answer has ended. */
  readonly finished: boolean;
  /** Cancels the request: its answers end with the finish reason `abort`. Does nothing when they have ended. */
  abort(): void;
  /**
   * Waits for the end.
   *
   * @returns The last output, of kind `final` whatever kind the stream is.
   * @throws What ended the request: a device, logits processor or stopping criterion that failed.
   */
  result(): Promise<RequestOutput>;
  /** Waits for the next output; throws like {@link RequestStream.result}. */
  next(): Promise<IteratorResult<RequestOutput, void>>;
  /** Cancels what has not ended. */
  return(): Promise<IteratorResult<RequestOutput, void>>;
  /** The stream itself. */
  [Symbol.asyncIterator](): RequestStream;
}
