// What a thread of a tile of 32 rows holds: rows 4 apart, outputs 32 apart; with gate and up the second half of the outputs are up's.
const tile_columns = 128u;
const row_step = 4u;
const half_step = 16u;
fn store_tile(row: u32, y: u32, tx: u32, s: Sums) {
  if (matrix.gated == 0u) {
    store_column(row, y, tx, s.c0);
    store_column(row, y, tx + 32u, s.c1);
    store_column(row, y, tx + 64u, s.c2);
    store_column(row, y, tx + 96u, s.c3);
  } else {
    store_pair(row, y, tx, s.c0, s.c2);
    store_pair(row, y, tx + 32u, s.c1, s.c3);
  }
}
