/**
 * What one replay of a {@link Program} works on: plain typed arrays, made by the model runner from the scheduler's decision.
 * Field names follow vLLM (query_start_loc, seq_lens, block_table, slot_mapping). Imports nothing.
 *
 * @module
 */

/** One step of one or more sequences. Rows of one sequence are adjacent, in order; sequences follow one another. */
export interface Batch {
  /** `[rows]` token ids. */
  readonly tokens: Uint32Array;
  /** `[rows, headDim]`: for each row cos of the `headDim / 2` angles, then their sin, both times RoPE's attention factor. */
  readonly rope: Float32Array;
  /** `[rows]` where the row's K and V go: `block * blockSize + offset`. No two rows share a slot. */
  readonly slots: Uint32Array;
  /** `[sequences + 1]` first row of each sequence, then `rows`. */
  readonly queryStarts: Uint32Array;
  /** `[sequences]` keys a sequence has once this step's are stored; its row `i` of `n` sees the first `contextLength - (n - 1 - i)`. */
  readonly contextLengths: Uint32Array;
  /** `[sequences, blocksPerSequence]` blocks of each sequence in order; entries past its context are ignored. */
  readonly blockTables: Uint32Array;
  readonly blocksPerSequence: number;
  /** `[outputs]` rows whose logits are wanted, ascending. */
  readonly outputRows: Uint32Array;
  /** `[rows, hiddenSize]` used in place of the embedding table's rows when present. */
  readonly inputsEmbeds?: Float32Array;
}
