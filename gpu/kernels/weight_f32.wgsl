// f32 weights: (group of 32 rows, block of 32 values) = 8 units of 16 bytes a row; where: layout.wgsl.
fn weight_at(row: u32, k: u32) -> f32 {
  let unit = unit_index(row, k >> 5u, 8u, (k >> 2u) & 7u);
  return bitcast<f32>(weights[unit][k & 3u]);
}
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  var sum = 0.0;
  for (var v = 0u; v < 8u; v++) {
    let w = bitcast<vec4<f32>>(weights[unit_index(row, block, 8u, v)]);
    let at = base + block * 32u + v * 4u;
    sum += dot(w, x_at(at));
  }
  return sum;
}
