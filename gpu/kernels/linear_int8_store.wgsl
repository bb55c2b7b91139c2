// What a thread of a tile of int8 activations holds: 4 results, of rows 16 apart, of each of 16 outputs 8 apart; with gate and up the second half of the outputs are up's.
const tile_columns = 128u;
const row_step = 16u;
// Stores the results of outputs c, c + 8, c + 16 and c + 24.
fn store_columns(row: u32, y: u32, c: u32, a: vec4<f32>, b: vec4<f32>, d: vec4<f32>, e: vec4<f32>) {
  let o = tile_columns * y + c;
  let ra = residuals_of(row, o);
  let rb = residuals_of(row, o + 8u);
  let rd = residuals_of(row, o + 16u);
  let re = residuals_of(row, o + 24u);
  store_four(row, o, a, ra);
  store_four(row, o + 8u, b, rb);
  store_four(row, o + 16u, d, rd);
  store_four(row, o + 24u, e, re);
}
fn store_tile(row: u32, y: u32, c: u32, s: Sums) {
  if (matrix.gated == 0u) {
    store_columns(row, y, c, s.c0, s.c1, s.c2, s.c3);
    store_columns(row, y, c + 32u, s.c4, s.c5, s.c6, s.c7);
    store_columns(row, y, c + 64u, s.c8, s.c9, s.c10, s.c11);
    store_columns(row, y, c + 96u, s.c12, s.c13, s.c14, s.c15);
  } else {
    store_four_gated(row, y, c, s.c0, s.c8);
    store_four_gated(row, y, c + 8u, s.c1, s.c9);
    store_four_gated(row, y, c + 16u, s.c2, s.c10);
    store_four_gated(row, y, c + 24u, s.c3, s.c11);
    store_four_gated(row, y, c + 32u, s.c4, s.c12);
    store_four_gated(row, y, c + 40u, s.c5, s.c13);
    store_four_gated(row, y, c + 48u, s.c6, s.c14);
    store_four_gated(row, y, c + 56u, s.c7, s.c15);
  }
}
