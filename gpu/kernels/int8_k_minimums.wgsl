// Scale and (negative) minimum of blocks 2 * pair and 2 * pair + 1 of q4_k and q5_k, whose super-blocks have `words` words.
fn load_minimums(row: u32, pair: u32, words: u32) -> vec2<u32> {
  return vec2<u32>(word_of(row, 2u * pair, words, 0u), word_of(row, 2u * pair, words, 1u + (pair & 3u)));
}
fn scales_of(s: vec2<u32>) -> vec4<f32> {
  let d = unpack2x16float(s.x);
  return vec4<f32>(d, d) * vec4<f32>(f32(s.y & 63u), -f32((s.y >> 8u) & 63u), f32((s.y >> 16u) & 63u), -f32((s.y >> 24u) & 63u));
}
