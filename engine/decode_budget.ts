/**
 * For how long a device may make tokens on its own.
 *
 * @module
 */

/** Time in milliseconds that newcomers, cancellations and readers of streams can wait for. */
const maxElapsedMs = 25;

/** Says how many steps fit into the time, by how long the last ones took. */
export class DecodeBudget {
  /** Unknown: long. */
  #stepMs = Infinity;
  #sequences = 1;

  /** Notes how long the last steps took, one row of each sequence in each of them. */
  add(elapsedMs: number, steps: number, sequences: number): void {
    this.#stepMs = elapsedMs / steps;
    this.#sequences = sequences;
  }

  /** @returns Steps of that many sequences that fit, at least 1. A step of more sequences than the last takes longer, but by no more than as many times. */
  steps(sequences: number): number {
    const stepMs = this.#stepMs * Math.max(1, sequences / this.#sequences);
    return Math.max(1, Math.floor(maxElapsedMs / stepMs));
  }
}
