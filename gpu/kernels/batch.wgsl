// The counts of the batch, the first binding of every kernel.
struct Batch {
  rows: u32,
  outputs: u32,
  sequences: u32,
  blocks_per_sequence: u32,
  slices: u32,      // parts into which attention_rows.wgsl cuts a context
  tile_slices: u32, // and attention_tiles.wgsl
}
