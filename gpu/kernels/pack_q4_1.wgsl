// q4_1: 20 bytes a block {f16 d; f16 m; nibbles[16]}.
fn pack_pair(source: u32, row: u32, pair: u32) {
  for (var b = 2u * pair; b < min(2u * pair + 2u, matrix.blocks); b++) {
    let at = unit_index(row, b, 1u, 0u);
    weights[at] = unit_of(source + b * 20u + 4u);
    scales[at] = half_at(source + b * 20u) | (half_at(source + b * 20u + 2u) << 16u);
  }
}
