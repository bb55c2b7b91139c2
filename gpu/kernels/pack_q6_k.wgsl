// q6_k: 210 bytes a super-block {nibbles[128]; high pairs of bits[64]; i8 scales[16], one for 16 values; f16 d}. In each half of 128 values block r of 4 has its
// nibbles in bytes 32 (r & 1) .. +31, low for r < 2, and its high bits at 2r of each of 32 bytes.
fn pack_pair(source: u32, row: u32, pair: u32) {
  let start = source + (pair >> 2u) * 210u;
  if ((pair & 3u) == 0u) { scales[word_index(row, 2u * pair, 21u, 0u)] = half_at(start + 208u); }
  scales[word_index(row, 2u * pair, 21u, 1u + (pair & 3u))] = word_at(start + 192u + 4u * (pair & 3u));
  for (var j = 0u; j < 2u; j++) {
    let block = 2u * pair + j;
    let b = block & 7u;
    weights[unit_index(row, block, 1u, 0u)] = unit_of(start + (b >> 2u) * 64u + (b & 1u) * 32u, 2u * (b & 2u));
    // Bits 2m, 2m + 1 of byte k of word w are those of value 16w + 4m + k.
    for (var w = 0u; w < 2u; w++) {
      var bits = 0u;
      for (var m = 0u; m < 4u; m++) { bits |= ((word_at(start + 128u + (b >> 2u) * 32u + 16u * w + 4u * m) >> (2u * (b & 3u))) & 0x03030303u) << (2u * m); }
      scales[word_index(row, block, 21u, 5u + 2u * b + w)] = bits;
    }
  }
}
