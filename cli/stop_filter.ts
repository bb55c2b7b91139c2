/**
 * Ends a text before the first of some strings, while it streams.
 *
 * @module
 */
import { overlap } from "./reasoning.ts";

/** Takes text in pieces; gives what can no longer be part of a stop string. */
export class StopFilter {
  readonly #stops: readonly string[];
  #held = "";
  /** Whether a stop string has come. */
  stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  push(text: string): string {
    if (this.stopped) return "";
    const rest = this.#held + text;
    const found = this.#stops.map((stop) => rest.indexOf(stop)).filter((at) => at >= 0);
    this.stopped = found.length > 0;
    const end = this.stopped ? Math.min(...found) : rest.length - Math.max(0, ...this.#stops.map((stop) => overlap(rest, stop)));
    this.#held = this.stopped ? "" : rest.slice(end);
    return rest.slice(0, end);
  }

  /** What was held back. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}
