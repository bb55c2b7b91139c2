// Scale and (negative) minimum of blocks 2 * pair and 2 * pair + 1 of q4_k and q5_k, whose super-blocks have `words` words.
fn pair_minimums(row: u32, pair: u32, words: u32) -> vec4<f32> {
  let own = word_of(row, 2u * pair, words, 1u + (pair & 3u));
  let d = unpack2x16float(word_of(row, 2u * pair, words, 0u));
  return vec4<f32>(d, d) * vec4<f32>(f32(own & 63u), -f32((own >> 8u) & 63u), f32((own >> 16u) & 63u), -f32((own >> 24u) & 63u));
}
