// q4_k: 144 bytes a super-block {f16 d; f16 dmin; 6-bit scales and minimums[12]; nibbles[128]}.
fn pack_pair(source: u32, row: u32, pair: u32) {
  let start = source + (pair >> 2u) * 144u;
  pack_scales(start, row, pair, 5u);
  for (var j = 0u; j < 2u; j++) { weights[unit_index(row, 2u * pair + j, 1u, 0u)] = unit_of(start + 16u + (pair & 3u) * 32u, 4u * j); }
}
