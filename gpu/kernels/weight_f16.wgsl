// f16 weights: a block of 32 values is 4 units of 16 bytes; where: layout.wgsl.
fn weight_at(row: u32, k: u32) -> f32 {
  let unit = unit_index(row, k >> 5u, 4u, (k >> 3u) & 3u);
  return unpack2x16float(weights[unit][(k >> 1u) & 3u])[k & 1u];
}
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  var sum = 0.0;
  for (var v = 0u; v < 4u; v++) {
    let w = weights[unit_index(row, block, 4u, v)];
    let at = base + block * 32u + v * 8u;
    sum += dot(vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)), x_at(at)) + dot(vec4<f32>(unpack2x16float(w.z), unpack2x16float(w.w)), x_at(at + 4u));
  }
  return sum;
}
