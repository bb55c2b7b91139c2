// Which row of the matrix a column of a tile is, and where its results go.
var<private> plane: u32;

// Row of the matrix that makes column c of 128 of tile y: with `gated` the first 64 columns are of gate, the others of up.
fn tile_row(y: u32, c: u32) -> u32 {
  if (matrix.gated == 0u) { return min(128u * y + c, matrix.rows - 1u); }
  return min(64u * y + (c & 63u), matrix.gated - 1u) + select(0u, matrix.gated, c >= 64u);
}
// Result of tile y's column c for one row.
fn finish(row: u32, y: u32, c: u32, value: f32) {
  let o = 128u * y + c;
  if (row >= row_count() || o >= matrix.rows) { return; }
  if (matrix.splits > 1u) { out[(plane * row_count() + row) * matrix.rows + o] = value; } else { store(row, o, value); }
}
// Results of tile y's columns c (gate) and c + 64 (up) for one row.
fn finish_gated(row: u32, y: u32, c: u32, gate: f32, up: f32) {
  let o = 64u * y + c;
  if (row >= row_count() || o >= matrix.gated) { return; }
  if (matrix.splits > 1u) {
    let at = (plane * row_count() + row) * matrix.rows + o;
    out[at] = gate;
    out[at + matrix.gated] = up;
  } else { store_gated(row, o, gate, up); }
}
