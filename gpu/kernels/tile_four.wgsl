// Stores a thread's results of one output, or of one output of gate and of up, for four rows that are row_step apart. What results are added to is read for
// several outputs or rows before the first is stored: nothing is read ahead of a store, and one by one took a fifth of the time of a short K.
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
fn store_four_gated(row: u32, y: u32, c: u32, gate: vec4<f32>, up: vec4<f32>) {
  finish_gated(row, y, c, gate.x, up.x);
  finish_gated(row + row_step, y, c, gate.y, up.y);
  finish_gated(row + 2u * row_step, y, c, gate.z, up.z);
  finish_gated(row + 3u * row_step, y, c, gate.w, up.w);
}
