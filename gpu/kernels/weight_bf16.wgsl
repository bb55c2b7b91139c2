// bf16 weights: a block of 32 values is 4 units of 16 bytes, [group][block][v][lane].
fn widened(word: u32) -> vec2<f32> { return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u)); }
fn weight_at(row: u32, k: u32) -> f32 {
  let unit = (((row >> 5u) * blocks + (k >> 5u)) * 4u + ((k >> 3u) & 3u)) * 32u + (row & 31u);
  return widened(weights[unit][(k >> 1u) & 3u])[k & 1u];
}
fn dot_block(group: u32, block: u32, lane: u32, base: u32) -> f32 {
  var sum = 0.0;
  for (var v = 0u; v < 4u; v++) {
    let w = weights[((group * blocks + block) * 4u + v) * 32u + lane];
    let at = base + block * 32u + v * 8u;
    sum += dot(vec4<f32>(widened(w.x), widened(w.y)), x_at(at)) + dot(vec4<f32>(widened(w.z), widened(w.w)), x_at(at + 4u));
  }
  return sum;
}
