// q6_k weights: value = d * scale * (six bits - 32), a scale for 16 values; the lower four bits are units as in q4_0. Words of a super-block: d as f16, then four
// i8 scales of each pair of blocks, then two words of high bits of each block: bits 2m, 2m + 1 of byte k of word w belong to value 16w + 4m + k.
fn scales_of(row: u32, block: u32) -> vec2<f32> {
  let own = unpack4xI8(word_of(row, block, 21u, 1u + ((block >> 1u) & 3u)));
  return unpack2x16float(word_of(row, block, 21u, 0u)).x * vec2<f32>(select(own.xy, own.zw, (block & 1u) == 1u));
}
fn weight_at(row: u32, k: u32) -> f32 {
  let bits = word_of(row, k >> 5u, 21u, 5u + 2u * ((k >> 5u) & 7u) + ((k >> 4u) & 1u));
  let high = (bits >> (8u * (k & 3u) + 2u * ((k >> 2u) & 3u))) & 3u;
  return scales_of(row, k >> 5u)[(k >> 4u) & 1u] * (f32(nibble_at(weights[unit_index(row, k >> 5u, 1u, 0u)], k) | (high << 4u)) - 32.0);
}
fn sixes(word: u32, high: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8((word & 0x0f0f0f0fu) | ((high & 0x03030303u) << 4u))) - 32.0; }
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  let w = weights[unit_index(row, block, 1u, 0u)];
  let a = word_of(row, block, 21u, 5u + 2u * (block & 7u));
  let b = word_of(row, block, 21u, 6u + 2u * (block & 7u));
  let at = base + block * 32u;
  let first = dot(sixes(w.x, a), x_at(at)) + dot(sixes(w.x >> 4u, a >> 2u), x_at(at + 4u)) + dot(sixes(w.y, a >> 4u), x_at(at + 8u)) +
    dot(sixes(w.y >> 4u, a >> 6u), x_at(at + 12u));
  let second = dot(sixes(w.z, b), x_at(at + 16u)) + dot(sixes(w.z >> 4u, b >> 2u), x_at(at + 20u)) + dot(sixes(w.w, b >> 4u), x_at(at + 24u)) +
    dot(sixes(w.w >> 4u, b >> 6u), x_at(at + 28u));
  return dot(scales_of(row, block), vec2<f32>(first, second));
}
