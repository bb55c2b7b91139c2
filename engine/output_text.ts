/**
 * The text of an answer while it is made.
 *
 * @module
 */
import type { Detokenizer } from "./host.ts";

/** Turns tokens into text that can be shown, holds back what may be the start of a stop string, and tells when one is complete. */
export class OutputText {
  /** The stop string that ended the text. */
  stopString: string | null = null;
  readonly #createDetokenizer: () => Detokenizer;
  #detokenizer: Detokenizer | null = null;
  readonly #stops: readonly string[];
  readonly #includeStop: boolean;
  /** Text that is not shown yet: the longest end of the text that a stop string begins with. */
  #held = "";

  /**
   * @param createDetokenizer Called with the first token; {@link OutputText.end} frees what it returns.
   * @param includeStop Whether the stop string is part of the text.
   */
  constructor(createDetokenizer: () => Detokenizer, stops: readonly string[], includeStop: boolean) {
    this.#createDetokenizer = createDetokenizer;
    this.#stops = stops;
    this.#includeStop = includeStop;
  }

  /**
   * Takes the next token.
   *
   * @param mayStop Whether a stop string that this token completes ends the text.
   * @returns Text that can be shown now.
   */
  push(tokenId: number, mayStop: boolean): string {
    this.#detokenizer ??= this.#createDetokenizer();
    const piece = this.#detokenizer.push(tokenId);
    if (this.#stops.length === 0) return piece;
    const text = this.#held + piece;
    if (mayStop) {
      let first = Infinity;
      for (const stop of this.#stops) {
        const at = text.indexOf(stop, Math.max(0, this.#held.length - stop.length + 1));
        if (at >= 0 && at < first) first = at, this.stopString = stop;
      }
      if (this.stopString !== null) {
        this.#held = "";
        return text.slice(0, first + (this.#includeStop ? this.stopString.length : 0));
      }
    }
    const shown = text.length - this.#openLength(text);
    this.#held = text.slice(shown);
    return text.slice(0, shown);
  }

  /** @returns What was held back, unless a stop string ended the text. */
  end(): string {
    const rest = this.stopString === null ? this.#held + (this.#detokenizer?.flush() ?? "") : "";
    this.#detokenizer?.free();
    this.#detokenizer = null;
    return rest;
  }

  /** Length of the longest end of a text with which a stop string begins, but which is not all of it. */
  #openLength(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
