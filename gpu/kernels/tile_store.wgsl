// What a thread of a tile of 128 rows holds: rows 16 apart, outputs 16 apart; with gate and up the second half of the outputs are up's.
const tile_columns = 128u;
const row_step = 16u;
const half_step = 64u;
fn store_tile(row: u32, y: u32, tx: u32, s: Sums) {
  if (matrix.gated == 0u) {
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
