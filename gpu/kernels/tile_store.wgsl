// Stores a thread's 8 results of one output (rows row, row + 16, ...), or of one output of gate and of up.
fn store_column(row: u32, y: u32, c: u32, v: Eight) {
  finish(row, y, c, v.low.x);
  finish(row + 16u, y, c, v.low.y);
  finish(row + 32u, y, c, v.low.z);
  finish(row + 48u, y, c, v.low.w);
  finish(row + 64u, y, c, v.high.x);
  finish(row + 80u, y, c, v.high.y);
  finish(row + 96u, y, c, v.high.z);
  finish(row + 112u, y, c, v.high.w);
}
fn store_pair(row: u32, y: u32, c: u32, gate: Eight, up: Eight) {
  finish_gated(row, y, c, gate.low.x, up.low.x);
  finish_gated(row + 16u, y, c, gate.low.y, up.low.y);
  finish_gated(row + 32u, y, c, gate.low.z, up.low.z);
  finish_gated(row + 48u, y, c, gate.low.w, up.low.w);
  finish_gated(row + 64u, y, c, gate.high.x, up.high.x);
  finish_gated(row + 80u, y, c, gate.high.y, up.high.y);
  finish_gated(row + 96u, y, c, gate.high.z, up.high.z);
  finish_gated(row + 112u, y, c, gate.high.w, up.high.w);
}
fn store_tile(row: u32, y: u32, tx: u32, s: Sums) {
  if (gated == 0u) {
    store_column(row, y, tx, s.c0);
    store_column(row, y, tx + 16u, s.c1);
    store_column(row, y, tx + 32u, s.c2);
    store_column(row, y, tx + 48u, s.c3);
    store_column(row, y, tx + 64u, s.c4);
    store_column(row, y, tx + 80u, s.c5);
    store_column(row, y, tx + 96u, s.c6);
    store_column(row, y, tx + 112u, s.c7);
  } else {
    store_pair(row, y, tx, s.c0, s.c4);
    store_pair(row, y, tx + 16u, s.c1, s.c5);
    store_pair(row, y, tx + 32u, s.c2, s.c6);
    store_pair(row, y, tx + 48u, s.c3, s.c7);
  }
}
