// bf16 weights: a block of 32 values is 4 units of 16 bytes; where: layout.wgsl.
fn widened(word: u32) -> vec2<f32> { return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u)); }
fn weight_at(row: u32, k: u32) -> f32 {
  let unit = unit_index(row, k >> 5u, 4u, (k >> 3u) & 3u);
  return widened(weights[unit][(k >> 1u) & 3u])[k & 1u];
}
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  var sum = 0.0;
  for (var v = 0u; v < 4u; v++) {
    let w = weights[unit_index(row, block, 4u, v)];
    let at = base + block * 32u + v * 8u;
    sum += dot(vec4<f32>(widened(w.x), widened(w.y)), x_at(at)) + dot(vec4<f32>(widened(w.z), widened(w.w)), x_at(at + 4u));
  }
  return sum;
}
