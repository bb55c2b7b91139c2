// A thread's 8 results of one output: rows row, row + 16, ...
fn store_column(row: u32, o: u32, count: u32, c: Eight) {
  if (o >= rows) { return; }
  store_one(row, o, count, c.low.x);
  store_one(row + 16u, o, count, c.low.y);
  store_one(row + 32u, o, count, c.low.z);
  store_one(row + 48u, o, count, c.low.w);
  store_one(row + 64u, o, count, c.high.x);
  store_one(row + 80u, o, count, c.high.y);
  store_one(row + 96u, o, count, c.high.z);
  store_one(row + 112u, o, count, c.high.w);
}
fn store_one(row: u32, o: u32, count: u32, value: f32) {
  if (row < count) { store(row * stride + first + o, first + o, value); }
}
