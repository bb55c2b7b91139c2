// q4_0: 18 bytes a block {f16 d; nibbles[16]}.
fn pack_pair(source: u32, row: u32, pair: u32) {
  var scale = 0u;
  for (var j = 0u; j < min(2u, matrix.blocks - 2u * pair); j++) {
    let b = 2u * pair + j;
    scale |= half_at(source + b * 18u) << (16u * j);
    weights[unit_index(row, b, 1u, 0u)] = unit_of(source + b * 18u + 2u);
  }
  scales[scale_index(row, pair)] = scale;
}
