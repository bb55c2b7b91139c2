// Stores a thread's 8 results of one output (rows row, row + 4, ...), or of one output of gate and of up.
fn store_column(row: u32, y: u32, c: u32, v: Eight) {
  finish(row, y, c, v.low.x);
  finish(row + 4u, y, c, v.low.y);
  finish(row + 8u, y, c, v.low.z);
  finish(row + 12u, y, c, v.low.w);
  finish(row + 16u, y, c, v.high.x);
  finish(row + 20u, y, c, v.high.y);
  finish(row + 24u, y, c, v.high.z);
  finish(row + 28u, y, c, v.high.w);
}
fn store_pair(row: u32, y: u32, c: u32, gate: Eight, up: Eight) {
  finish_gated(row, y, c, gate.low.x, up.low.x);
  finish_gated(row + 4u, y, c, gate.low.y, up.low.y);
  finish_gated(row + 8u, y, c, gate.low.z, up.low.z);
  finish_gated(row + 12u, y, c, gate.low.w, up.low.w);
  finish_gated(row + 16u, y, c, gate.high.x, up.high.x);
  finish_gated(row + 20u, y, c, gate.high.y, up.high.y);
  finish_gated(row + 24u, y, c, gate.high.z, up.high.z);
  finish_gated(row + 28u, y, c, gate.high.w, up.high.w);
}
fn store_tile(row: u32, y: u32, tx: u32, s: Sums) {
  if (gated == 0u) {
    store_column(row, y, tx, s.c0);
    store_column(row, y, tx + 32u, s.c1);
    store_column(row, y, tx + 64u, s.c2);
    store_column(row, y, tx + 96u, s.c3);
  } else {
    store_pair(row, y, tx, s.c0, s.c2);
    store_pair(row, y, tx + 32u, s.c1, s.c3);
  }
}
