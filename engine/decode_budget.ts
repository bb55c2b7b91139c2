/**
 * For how long a device may make tokens on its own.
 *
 * @module
 */

/** About the time in milliseconds that newcomers, cancellations and readers of streams can wait for. */
const aimedMs = 25;

/** Says how many steps take the time, by how long the last ones took. */
export class DecodeBudget {
  /** Unknown: long. */
  #stepMs = Infinity;
  #sequences = 1;

  /** Notes how long the last steps took, one row of each sequence in each of them. */
  add(elapsedMs: number, steps: number, sequences: number): void {
    this.#stepMs = elapsedMs / steps;
    this.#sequences = sequences;
  }

  /**
   * @returns Steps of that many sequences that come nearest to the time, at least 1. A step of more sequences than the last ones had may take as many
   *   times as long.
   */
  steps(sequences: number): number {
    const stepMs = this.#stepMs * Math.max(1, sequences / this.#sequences);
    return Math.max(1, Math.round(aimedMs / stepMs));
  }
}
