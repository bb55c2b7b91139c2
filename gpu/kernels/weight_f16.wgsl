// f16 weights: a block of 32 values is 4 units of 16 bytes, [group][block][v][lane].
fn weight_at(row: u32, k: u32) -> f32 {
  let unit = (((row >> 5u) * blocks + (k >> 5u)) * 4u + ((k >> 3u) & 3u)) * 32u + (row & 31u);
  return unpack2x16float(weights[unit][(k >> 1u) & 3u])[k & 1u];
}
fn dot_block(group: u32, block: u32, lane: u32, base: u32) -> f32 {
  var sum = 0.0;
  for (var v = 0u; v < 4u; v++) {
    let w = weights[((group * blocks + block) * 4u + v) * 32u + lane];
    let at = base + block * 32u + v * 8u;
    sum += dot(vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)), x_at(at)) + dot(vec4<f32>(unpack2x16float(w.z), unpack2x16float(w.w)), x_at(at + 4u));
  }
  return sum;
}
