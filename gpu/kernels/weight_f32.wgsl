// f32 weights: (group of 32 rows, block of 32 values) = 8 units of 16 bytes a row, unit v of the 32 rows adjacent: [group][block][v][lane].
fn weight_at(row: u32, k: u32) -> f32 {
  let unit = (((row >> 5u) * blocks + (k >> 5u)) * 8u + ((k >> 2u) & 7u)) * 32u + (row & 31u);
  return bitcast<f32>(weights[unit][k & 3u]);
}
fn dot_block(group: u32, block: u32, lane: u32, base: u32) -> f32 {
  var sum = 0.0;
  for (var v = 0u; v < 8u; v++) {
    let w = bitcast<vec4<f32>>(weights[((group * blocks + block) * 8u + v) * 32u + lane]);
    let at = base + block * 32u + v * 4u;
    sum += dot(w, x_at(at));
  }
  return sum;
}
