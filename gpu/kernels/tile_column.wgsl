// Stores a thread's 8 results of one output, or of one output of gate and of up: of four rows row_step apart, and of four more half_step further.
fn store_column(row: u32, y: u32, c: u32, v: Eight) {
  let o = tile_columns * y + c;
  let low = residuals_of(row, o);
  let high = residuals_of(row + half_step, o);
  store_four(row, o, v.low, low);
  store_four(row + half_step, o, v.high, high);
}
fn store_pair(row: u32, y: u32, c: u32, gate: Eight, up: Eight) {
  store_four_gated(row, y, c, gate.low, up.low);
  store_four_gated(row + half_step, y, c, gate.high, up.high);
}
