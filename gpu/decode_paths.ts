/**
 * Which way tokens are decoded: one sequence by the persistent walk where the device can, everything else dispatch by dispatch.
 *
 * @module
 */
import type { DecodeRequest, DecodeResult } from "../engine/backend.ts";

/** One way to decode. */
export interface DecodePath<Result> {
  decode(request: DecodeRequest): Promise<Result>;
}

/** Chooses a way for each request. */
export class DecodePaths {
  readonly #batched: DecodePath<DecodeResult>;
  #walk: DecodePath<DecodeResult | undefined> | string;

  /** @param walk Takes one sequence; undefined when it got stuck. Or in words why there is none. */
  constructor(batched: DecodePath<DecodeResult>, walk: DecodePath<DecodeResult | undefined> | string) {
    this.#batched = batched;
    this.#walk = walk;
  }

  /** Why the walk is not used; undefined when it is. */
  get whyNotPersistent(): string | undefined {
    return typeof this.#walk === "string" ? this.#walk : undefined;
  }

  /** Makes the tokens that a request asks for, whichever way. */
  async decode(request: DecodeRequest): Promise<DecodeResult> {
    const { batch: { tokens, inputsEmbeds }, sampling } = request;
    if (typeof this.#walk !== "string" && tokens.length === 1 && sampling.length === 1 && inputsEmbeds === undefined) {
      const result = await this.#walk.decode(request);
      if (result) return result;
      this.#walk = "its workgroups were once not all resident, so that it got stuck";
    }
    return this.#batched.decode(request); // where the walk got stuck it does what that did once more: keys and values are written anew
  }
}
