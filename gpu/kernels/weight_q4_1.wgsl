// q4_1 weights: units as in q4_0, value = d * nibble + m; a block's d and m are two f16 in a word beside its unit. Where: layout.wgsl.
fn weight_at(row: u32, k: u32) -> f32 {
  let at = unit_index(row, k >> 5u, 1u, 0u);
  let dm = unpack2x16float(scales[at]);
  return f32((weights[at][(k >> 3u) & 3u] >> (8u * (k & 3u) + (k & 4u))) & 15u) * dm.x + dm.y;
}
fn nibbles(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)); }
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  let at = unit_index(row, block, 1u, 0u);
  let w = weights[at];
  var sum = 0.0;
  var total = vec4<f32>(0.0);
  for (var i = 0u; i < 4u; i++) {
    let low = x_at(base + block * 32u + i * 8u);
    let high = x_at(base + block * 32u + i * 8u + 4u);
    sum += dot(nibbles(w[i]), low) + dot(nibbles(w[i] >> 4u), high);
    total += low + high;
  }
  let dm = unpack2x16float(scales[at]);
  return sum * dm.x + (total.x + total.y + total.z + total.w) * dm.y;
}
