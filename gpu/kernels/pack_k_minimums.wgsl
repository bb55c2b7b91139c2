// The 8 scales and 8 minimums of 6 bits in 12 bytes of q4_k and q5_k (get_scale_min_k4 of ggml), and the super-block's own scale and minimum before them.
fn byte_at(byte: u32) -> u32 { return (raw[byte >> 2u] >> (8u * (byte & 3u))) & 0xffu; }
// Scale in byte 0, minimum in byte 1 of block b.
fn scale_and_minimum(bytes: u32, b: u32) -> u32 {
  if (b < 4u) { return (byte_at(bytes + b) & 63u) | ((byte_at(bytes + b + 4u) & 63u) << 8u); }
  let both = byte_at(bytes + b + 4u);
  return (both & 15u) | ((byte_at(bytes + b - 4u) >> 6u) << 4u) | ((both >> 4u) << 8u) | ((byte_at(bytes + b) >> 6u) << 12u);
}
// Word 0 of a super-block: two f16, d and dmin. Words 1 .. 4: scale, minimum, scale, minimum of a pair of blocks.
fn pack_scales(source: u32, row: u32, pair: u32, words: u32) {
  let b = (2u * pair) & 7u;
  if (b == 0u) { scales[word_index(row, 2u * pair, words, 0u)] = word_at(source); }
  scales[word_index(row, 2u * pair, words, 1u + (pair & 3u))] = scale_and_minimum(source + 4u, b) | (scale_and_minimum(source + 4u, b + 1u) << 16u);
}
