/**
 * Stop strings, matched over tokens. Source: StopStringCriteria of transformers/generation/stopping_criteria.py.
 *
 * @module
 */

/** Tells when a sequence has just completed one of its stop strings. */
export class StopStrings {
  /** One character a byte, so that a text cut inside a character compares too. */
  readonly #stops: string[];
  readonly #tokenBytes: (tokenId: number) => Uint8Array;

  /**
   * @param stops Texts; empty ones are an error.
   * @param tokenBytes Raw bytes of a token.
   */
  constructor(stops: readonly string[], tokenBytes: (tokenId: number) => Uint8Array) {
    if (stops.includes("")) throw new RangeError("A stop string must not be empty");
    this.#stops = stops.map((stop) => binary(new TextEncoder().encode(stop)));
    this.#tokenBytes = tokenBytes;
  }

  /** Whether a stop string ends inside the last token; it may begin anywhere, even in the prompt. */
  matches(tokenIds: readonly number[]): boolean {
    if (tokenIds.length === 0 || this.#stops.length === 0) return false;
    const last = binary(this.#tokenBytes(tokenIds[tokenIds.length - 1]));
    const longest = Math.max(...this.#stops.map((stop) => stop.length));
    let tail = last;
    for (let i = tokenIds.length - 2; i >= 0 && tail.length < last.length + longest - 1; i--) tail = binary(this.#tokenBytes(tokenIds[i])) + tail;
    // Whatever starts here or later and is as long as the stop string ends inside the last token.
    return this.#stops.some((stop) => tail.indexOf(stop, Math.max(0, tail.length - last.length - stop.length + 1)) >= 0);
  }
}

function binary(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
