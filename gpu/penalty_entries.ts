/**
 * What penalties know of the tokens of some rows, as the GPU reads it: one entry for each token that is to be changed (penalize.wgsl).
 *
 * @module
 */
import type { PenaltyRow } from "../engine/host.ts";

/** Words of an entry. */
const entryWords = 4;
/** In an entry's uses: the token is in the prompt. */
const inPrompt = 0x8000_0000;

/** Entries of rows, one row after the other. */
export class PenaltyEntries {
  /** For each token, the entry of the row being added, counted from 1; 0 in between. */
  readonly #places: Uint32Array;
  #words = new Uint32Array(1024);
  #floats = new Float32Array(this.#words.buffer);
  #count = 0;

  constructor(vocabSize: number) {
    this.#places = new Uint32Array(vocabSize);
  }

  /** What to upload. */
  get words(): Uint32Array<ArrayBuffer> {
    return this.#words.subarray(0, this.#count * entryWords);
  }

  /** Starts anew. */
  clear(): void {
    this.#count = 0;
  }

  /**
   * Adds the entries of a row.
   *
   * @param room Entries to leave free behind them.
   * @returns Where they begin and how many they are; undefined when the penalties change nothing.
   * @throws {RangeError} as `Sampler.penalize` of `engine/host.ts` does.
   */
  add(row: PenaltyRow, room: number): { readonly first: number; readonly count: number } | undefined {
    const { repetitionPenalty, frequencyPenalty, presencePenalty, promptTokenIds, outputTokenIds, logitBias } = row, first = this.#count;
    const vocabSize = this.#places.length, repeats = repetitionPenalty !== 1, counts = frequencyPenalty !== 0 || presencePenalty !== 0;
    if (!(repetitionPenalty > 0)) throw new RangeError(`Cannot use a repetition penalty of ${repetitionPenalty}: it must be above 0`);
    for (const id of logitBias?.keys() ?? []) {
      if (!(id >= 0 && id < vocabSize)) throw new RangeError(`Cannot bias token ${id}: the vocabulary has ${vocabSize} tokens`);
    }
    if (!repeats && !counts && !logitBias?.size) return undefined;
    for (const [id, bias] of logitBias ?? []) {
      const at = this.#entry(id, first);
      this.#floats[at + 2] = bias;
      this.#floats[at + 3] = lowHalf(bias);
    }
    if (repeats) {
      for (let i = 0; i < promptTokenIds.length; i++) {
        if (promptTokenIds[i] >= vocabSize) continue;
        const at = this.#entry(promptTokenIds[i], first);
        this.#words[at + 1] |= inPrompt;
      }
    }
    if (repeats || counts) {
      for (let i = 0; i < outputTokenIds.length; i++) {
        if (outputTokenIds[i] >= vocabSize) continue;
        const at = this.#entry(outputTokenIds[i], first);
        this.#words[at + 1]++;
      }
    }
    const count = this.#count - first;
    for (let i = first; i < this.#count; i++) this.#places[this.#words[i * entryWords]] = 0;
    this.#count += room;
    this.#reserve();
    return { first, count };
  }

  /** Where the entry of a token begins; made when there is none, which may move all words. */
  #entry(token: number, first: number): number {
    const place = this.#places[token];
    if (place > 0) return (first + place - 1) * entryWords;
    this.#places[token] = this.#count - first + 1;
    const at = this.#count++ * entryWords;
    this.#reserve();
    this.#words.fill(0, at, at + entryWords);
    this.#words[at] = token;
    return at;
  }

  #reserve(): void {
    const words = this.#count * entryWords;
    if (words <= this.#words.length) return;
    const larger = new Uint32Array(2 * words);
    larger.set(this.#words);
    [this.#words, this.#floats] = [larger, new Float32Array(larger.buffer)];
  }
}

/** What f32 leaves of a number. */
export function lowHalf(value: number): number {
  const high = Math.fround(value);
  return Number.isFinite(high) ? value - high : 0;
}
