// Stores a thread's 8 results of one output, or of one output of gate and of up: of four rows row_step apart, and of four more half_step further.
// What results are added to is read for all of them before the first is stored: nothing is read ahead of a store, and one by one took a fifth of the time of a short K.
fn residuals_of(row: u32, o: u32) -> vec4<f32> {
  if (matrix.adds == 0u || matrix.splits > 1u) { return vec4<f32>(0.0); }
  let last = row_count() - 1u;
  let at = min(o, matrix.rows - 1u);
  return vec4<f32>(residual_of(min(row, last), at), residual_of(min(row + row_step, last), at), residual_of(min(row + 2u * row_step, last), at),
    residual_of(min(row + 3u * row_step, last), at));
}
fn store_one(row: u32, o: u32, value: f32, residual: f32) {
  if (row >= row_count()) { return; }
  if (matrix.splits > 1u) { leave_sum(row, o, value); } else { store_onto(row, o, value, residual); }
}
fn store_four(row: u32, o: u32, v: vec4<f32>, residuals: vec4<f32>) {
  if (o >= matrix.rows) { return; }
  store_one(row, o, v.x, residuals.x);
  store_one(row + row_step, o, v.y, residuals.y);
  store_one(row + 2u * row_step, o, v.z, residuals.z);
  store_one(row + 3u * row_step, o, v.w, residuals.w);
}
fn store_column(row: u32, y: u32, c: u32, v: Eight) {
  let o = tile_columns * y + c;
  let low = residuals_of(row, o);
  let high = residuals_of(row + half_step, o);
  store_four(row, o, v.low, low);
  store_four(row + half_step, o, v.high, high);
}
fn store_four_gated(row: u32, y: u32, c: u32, gate: vec4<f32>, up: vec4<f32>) {
  finish_gated(row, y, c, gate.x, up.x);
  finish_gated(row + row_step, y, c, gate.y, up.y);
  finish_gated(row + 2u * row_step, y, c, gate.z, up.z);
  finish_gated(row + 3u * row_step, y, c, gate.w, up.w);
}
fn store_pair(row: u32, y: u32, c: u32, gate: Eight, up: Eight) {
  store_four_gated(row, y, c, gate.low, up.low);
  store_four_gated(row + half_step, y, c, gate.high, up.high);
}
