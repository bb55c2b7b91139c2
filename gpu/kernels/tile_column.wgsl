// Stores a thread's 8 results of one output (rows row, row + row_step, ...), or of one output of gate and of up.
fn store_column(row: u32, y: u32, c: u32, v: Eight) {
  finish(row, y, c, v.low.x);
  finish(row + row_step, y, c, v.low.y);
  finish(row + 2u * row_step, y, c, v.low.z);
  finish(row + 3u * row_step, y, c, v.low.w);
  finish(row + 4u * row_step, y, c, v.high.x);
  finish(row + 5u * row_step, y, c, v.high.y);
  finish(row + 6u * row_step, y, c, v.high.z);
  finish(row + 7u * row_step, y, c, v.high.w);
}
fn store_pair(row: u32, y: u32, c: u32, gate: Eight, up: Eight) {
  finish_gated(row, y, c, gate.low.x, up.low.x);
  finish_gated(row + row_step, y, c, gate.low.y, up.low.y);
  finish_gated(row + 2u * row_step, y, c, gate.low.z, up.low.z);
  finish_gated(row + 3u * row_step, y, c, gate.low.w, up.low.w);
  finish_gated(row + 4u * row_step, y, c, gate.high.x, up.high.x);
  finish_gated(row + 5u * row_step, y, c, gate.high.y, up.high.y);
  finish_gated(row + 6u * row_step, y, c, gate.high.z, up.high.z);
  finish_gated(row + 7u * row_step, y, c, gate.high.w, up.high.w);
}
