// Where a weight's 16-byte units and scale words lie. Rows come in groups of 32, a lane a row; narrow matrices (see weights.ts) come in groups of 16, where
// the upper 16 lanes hold the odd blocks, so that more workgroups find work. Unit v of the lanes of (group, block) is adjacent.
fn unit_index(row: u32, block: u32, units: u32, v: u32) -> u32 {
  let half = matrix.half; // 1 where groups have 16 rows
  let group = (row >> (5u - half)) * ((matrix.blocks + half) >> half);
  return ((group + (block >> half)) * units + v) * 32u + (row & (31u >> half)) + ((block & half) << 4u);
}
// Of the words that a row has beside its units, `slots` of them, number `slot`.
fn slot_index(row: u32, slot: u32, slots: u32) -> u32 {
  let half = matrix.half;
  return ((row >> (5u - half)) * slots + slot) * (32u >> half) + (row & (31u >> half));
}
// A word of two f16, for blocks 2 * pair and 2 * pair + 1.
fn scale_index(row: u32, pair: u32) -> u32 { return slot_index(row, pair, (matrix.blocks + 1u) >> 1u); }
