/**
 * What the scheduler decided, as plain typed arrays.
 *
 * @module
 */
import type { Sequence } from "./sequence.ts";

/** What a step computes: fields as in `Batch`, positions in place of their rotations. Arrays are views that the next step overwrites. */
export interface ScheduledStep<S extends Sequence = Sequence> {
  /** The sequences of this step. */
  readonly sequences: readonly S[];
  /** `[rows]` */
  readonly tokens: Uint32Array;
  /** `[rows]` place of each token in its sequence. */
  readonly positions: Uint32Array;
  /** `[rows]` */
  readonly slots: Uint32Array;
  /** `[sequences + 1]` */
  readonly queryStarts: Uint32Array;
  /** `[sequences]` */
  readonly contextLengths: Uint32Array;
  /** `[sequences, blocksPerSequence]` */
  readonly blockTables: Uint32Array;
  /** Width of `blockTables`. */
  readonly blocksPerSequence: number;
  /** `[outputs]` rows of last tokens: their logits give the next one. */
  readonly outputRows: Uint32Array;
  /** `[outputs]` the index in `sequences` that each of those rows belongs to. */
  readonly outputSequences: Uint32Array;
  /** Tokens of each sequence after this step's for which the block tables have places, too. */
  readonly ahead: number;
}

/** Widths of block tables are multiples of this, so that they seldom change. */
const tableAlignment = 32;

/** Writes steps into arrays that are allocated once. */
export class StepBuilder<S extends Sequence = Sequence> {
  /** Rows of the step so far. */
  rows = 0;
  #sequences: S[] = [];
  #outputs = 0;
  readonly #blockSize: number;
  readonly #maxSequences: number;
  readonly #tokens: Uint32Array;
  readonly #positions: Uint32Array;
  readonly #slots: Uint32Array;
  readonly #queryStarts: Uint32Array;
  readonly #contextLengths: Uint32Array;
  readonly #outputRows: Uint32Array;
  readonly #outputSequences: Uint32Array;
  #tables = new Uint32Array(0);
  #tableWidth = 0;
  // Which blocks a row of the tables holds and how many of them: a sequence that grows by a token rewrites nothing.
  #tableOwners: (readonly number[])[] = [];
  readonly #tableLengths: Uint32Array;

  /** @param maxRows Most tokens of a step. */
  constructor(maxRows: number, maxSequences: number, blockSize: number) {
    this.#blockSize = blockSize;
    this.#maxSequences = maxSequences;
    this.#tokens = new Uint32Array(maxRows);
    this.#positions = new Uint32Array(maxRows);
    this.#slots = new Uint32Array(maxRows);
    this.#queryStarts = new Uint32Array(maxSequences + 1);
    this.#contextLengths = new Uint32Array(maxSequences);
    this.#outputRows = new Uint32Array(maxSequences);
    this.#outputSequences = new Uint32Array(maxSequences);
    this.#tableLengths = new Uint32Array(maxSequences);
  }

  /** Starts over. */
  clear(): void {
    this.#sequences = [];
    this.rows = this.#outputs = 0;
  }

  /** Adds the next `count` tokens of a sequence, which holds the blocks for them. */
  add(sequence: S, count: number): void {
    const { computed, tokens, blocks } = sequence, blockSize = this.#blockSize, end = computed + count, index = this.#sequences.push(sequence) - 1;
    for (let position = computed, row = this.rows; position < end; position++, row++) {
      const block = Math.floor(position / blockSize);
      this.#tokens[row] = tokens[position];
      this.#positions[row] = position;
      this.#slots[row] = blocks[block] * blockSize + position - block * blockSize;
    }
    this.rows += count;
    this.#queryStarts[index + 1] = this.rows;
    this.#contextLengths[index] = end;
    if (end === tokens.length) {
      this.#outputRows[this.#outputs] = this.rows - 1;
      this.#outputSequences[this.#outputs++] = index;
    }
  }

  /**
   * @param ahead Tokens of each sequence after this step's that have their blocks.
   * @returns The step as it stands.
   */
  build(ahead = 0): ScheduledStep<S> {
    this.#writeTables();
    const sequences = this.#sequences, { length } = sequences;
    return {
      sequences,
      tokens: this.#tokens.subarray(0, this.rows),
      positions: this.#positions.subarray(0, this.rows),
      slots: this.#slots.subarray(0, this.rows),
      queryStarts: this.#queryStarts.subarray(0, length + 1),
      contextLengths: this.#contextLengths.subarray(0, length),
      blockTables: this.#tables.subarray(0, length * this.#tableWidth),
      blocksPerSequence: this.#tableWidth,
      outputRows: this.#outputRows.subarray(0, this.#outputs),
      outputSequences: this.#outputSequences.subarray(0, this.#outputs),
      ahead,
    };
  }

  #writeTables(): void {
    let most = 1;
    for (const { blocks } of this.#sequences) most = Math.max(most, blocks.length);
    const width = Math.ceil(most / tableAlignment) * tableAlignment;
    if (width !== this.#tableWidth) {
      this.#tableWidth = width;
      this.#tableOwners = [];
      if (this.#tables.length < width * this.#maxSequences) this.#tables = new Uint32Array(width * this.#maxSequences);
    }
    for (let row = 0; row < this.#sequences.length; row++) {
      const { blocks } = this.#sequences[row];
      const from = this.#tableOwners[row] === blocks ? this.#tableLengths[row] : 0;
      for (let i = from; i < blocks.length; i++) this.#tables[row * width + i] = blocks[i];
      this.#tableOwners[row] = blocks;
      this.#tableLengths[row] = blocks.length;
    }
  }
}
