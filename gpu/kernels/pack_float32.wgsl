// 32-bit values: 8 units a block; past the end of a row zeros.
fn pack_pair(source: u32, row: u32, pair: u32) {
  for (var b = 2u * pair; b < min(2u * pair + 2u, matrix.blocks); b++) {
    for (var v = 0u; v < 8u; v++) {
      var unit = vec4<u32>(0u);
      for (var i = 0u; i < 4u; i++) {
        let k = b * 32u + v * 4u + i;
        if (k < matrix.inner) { unit[i] = word_at(source + k * 4u); }
      }
      weights[unit_index(row, b, 8u, v)] = unit;
    }
  }
}
