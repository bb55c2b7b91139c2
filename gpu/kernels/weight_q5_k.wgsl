// q5_k weights: q4_k with a fifth bit. Words of a super-block: d and dmin as f16, then scale, minimum, scale, minimum of each pair of blocks, then the high bits
// of each block: bit m of byte k belongs to value 4m + k.
fn scales_of(row: u32, block: u32) -> vec2<f32> {
  let own = word_of(row, block, 13u, 1u + ((block >> 1u) & 3u)) >> (16u * (block & 1u));
  return unpack2x16float(word_of(row, block, 13u, 0u)) * vec2<f32>(f32(own & 63u), f32((own >> 8u) & 63u));
}
fn weight_at(row: u32, k: u32) -> f32 {
  let s = scales_of(row, k >> 5u);
  let high = (word_of(row, k >> 5u, 13u, 5u + ((k >> 5u) & 7u)) >> (8u * (k & 3u) + ((k >> 2u) & 7u))) & 1u;
  return s.x * f32(nibble_at(weights[unit_index(row, k >> 5u, 1u, 0u)], k) | (high << 4u)) - s.y;
}
fn fives(word: u32, high: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8((word & 0x0f0f0f0fu) | ((high & 0x01010101u) << 4u))); }
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  let w = weights[unit_index(row, block, 1u, 0u)];
  let bits = word_of(row, block, 13u, 5u + (block & 7u));
  var sum = 0.0;
  var total = vec4<f32>(0.0);
  for (var i = 0u; i < 4u; i++) {
    let low = x_at(base + block * 32u + i * 8u);
    let high = x_at(base + block * 32u + i * 8u + 4u);
    sum += dot(fives(w[i], bits >> (2u * i)), low) + dot(fives(w[i] >> 4u, bits >> (2u * i + 1u)), high);
    total += low + high;
  }
  let s = scales_of(row, block);
  return sum * s.x - (total.x + total.y + total.z + total.w) * s.y;
}
