// q5_k: 176 bytes a super-block {f16 d; f16 dmin; 6-bit scales and minimums[12]; high bits[32]; nibbles[128]}; bit b of high byte v belongs to value v of block b.
fn pack_pair(source: u32, row: u32, pair: u32) {
  let start = source + (pair >> 2u) * 176u;
  pack_scales(start, row, pair, 13u);
  for (var j = 0u; j < 2u; j++) {
    let block = 2u * pair + j;
    weights[unit_index(row, block, 1u, 0u)] = unit_of(start + 48u + (pair & 3u) * 32u, 4u * j);
    // Bit m of byte k is the high bit of value 4m + k, so that a shift and a mask spread four of them over four bytes.
    var bits = 0u;
    for (var m = 0u; m < 8u; m++) { bits |= ((word_at(start + 16u + 4u * m) >> (block & 7u)) & 0x01010101u) << m; }
    scales[word_index(row, block, 13u, 5u + (block & 7u))] = bits;
  }
}
