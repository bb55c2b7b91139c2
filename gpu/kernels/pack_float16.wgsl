// 16-bit values (f16, bf16): 4 units a block; past the end of a row zeros.
fn pack_pair(source: u32, row: u32, pair: u32) {
  for (var b = 2u * pair; b < min(2u * pair + 2u, matrix.blocks); b++) {
    for (var v = 0u; v < 4u; v++) {
      var unit = vec4<u32>(0u);
      for (var i = 0u; i < 8u; i++) {
        let k = b * 32u + v * 8u + i;
        if (k < matrix.inner) { unit[i >> 1u] |= half_at(source + k * 2u) << (16u * (i & 1u)); }
      }
      weights[unit_index(row, b, 4u, v)] = unit;
    }
  }
}
