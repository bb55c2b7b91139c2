// Which row of the matrix a column of a tile is, and where its results go.
var<private> plane: u32;

// Row of the matrix that makes column c of `tile_columns` of tile y: with `gated` the first half of the columns is of gate, the other of up.
fn tile_row(y: u32, c: u32) -> u32 {
  if (matrix.gated == 0u) { return min(tile_columns * y + c, matrix.rows - 1u); }
  let half = tile_columns / 2u;
  return min(half * y + (c & (half - 1u)), matrix.gated - 1u) + select(0u, matrix.gated, c >= half);
}
// Result of tile y's column c for one row.
fn finish(row: u32, y: u32, c: u32, value: f32) {
  let o = tile_columns * y + c;
  if (row >= row_count() || o >= matrix.rows) { return; }
  if (matrix.splits > 1u) { leave_sum(row, o, value); } else { store(row, o, value); }
}
// Its part in this workgroup's plane of sums.
fn leave_sum(row: u32, o: u32, value: f32) { out[(plane * row_count() + row) * matrix.rows + o] = value; }
// Results of tile y's column c of gate and of up for one row.
fn finish_gated(row: u32, y: u32, c: u32, gate: f32, up: f32) -> f32 {
  let o = tile_columns / 2u * y + c;
  if (row >= row_count() || o >= matrix.gated) { return 0.0; }
  if (matrix.splits > 1u) {
    let at = (plane * row_count() + row) * matrix.rows + o;
    out[at] = gate;
    out[at + matrix.gated] = up;
    return 0.0;
  }
  return store_gated(row, o, gate, up);
}
