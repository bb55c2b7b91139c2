// q4_k weights: units as in q4_0, value = d * scale * nibble - dmin * minimum. Words of a super-block: d and dmin as f16, then scale, minimum, scale, minimum
// of each pair of blocks.
fn scales_of(row: u32, block: u32) -> vec2<f32> {
  let own = word_of(row, block, 5u, 1u + ((block >> 1u) & 3u)) >> (16u * (block & 1u));
  return unpack2x16float(word_of(row, block, 5u, 0u)) * vec2<f32>(f32(own & 63u), f32((own >> 8u) & 63u));
}
fn weight_at(row: u32, k: u32) -> f32 {
  let s = scales_of(row, k >> 5u);
  return s.x * f32(nibble_at(weights[unit_index(row, k >> 5u, 1u, 0u)], k)) - s.y;
}
fn nibbles(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)); }
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  let w = weights[unit_index(row, block, 1u, 0u)];
  var sum = 0.0;
  var total = vec4<f32>(0.0);
  for (var i = 0u; i < 4u; i++) {
    let low = x_at(base + block * 32u + i * 8u);
    let high = x_at(base + block * 32u + i * 8u + 4u);
    sum += dot(nibbles(w[i]), low) + dot(nibbles(w[i] >> 4u), high);
    total += low + high;
  }
  let s = scales_of(row, block);
  return sum * s.x - (total.x + total.y + total.z + total.w) * s.y;
}
