// The weight matrix of a linear with tiles or few rows, and where its results go.
override inner: u32;
override blocks: u32;
override rows: u32;    // outputs of this chunk of weights
override first: u32;   // where they begin in a row of `out`
override stride: u32;  // values of a row of `out`
override gated: u32;   // rows of gate, when up lies behind it and both are made together; else 0
override planes: bool; // K is split: `out` holds a plane of sums for each part, linear_sum.wgsl adds them

var<private> plane: u32;

// Outputs that `out` gets.
fn outputs() -> u32 { return select(rows, gated, gated > 0u); }
// Row of the matrix that makes column c of 128 of tile y: with `gated` the first 64 columns are of gate, the others of up.
fn tile_row(y: u32, c: u32) -> u32 {
  if (gated == 0u) { return min(128u * y + c, rows - 1u); }
  return min(64u * y + (c & 63u), gated - 1u) + select(0u, gated, c >= 64u);
}
// Result of tile y's column c for one row.
fn finish(row: u32, y: u32, c: u32, value: f32) {
  let o = 128u * y + c;
  if (row >= row_count() || o >= rows) { return; }
  if (planes) { out[(plane * row_count() + row) * rows + o] = value; } else { store(row * stride + first + o, first + o, value); }
}
// Results of tile y's columns c (gate) and c + 64 (up) for one row.
fn finish_gated(row: u32, y: u32, c: u32, gate: f32, up: f32) {
  let o = 64u * y + c;
  if (row >= row_count() || o >= gated) { return; }
  if (planes) {
    let at = (plane * row_count() + row) * rows + o;
    out[at] = gate;
    out[at + gated] = up;
  } else { store_gated(row * stride + first + o, first + o, gated, gate, up); }
}
