// q8_0: 34 bytes a block {f16 d; i8[32]}.
fn pack_pair(source: u32, row: u32, pair: u32) {
  var scale = 0u;
  for (var j = 0u; j < min(2u, matrix.blocks - 2u * pair); j++) {
    let b = 2u * pair + j;
    let start = source + b * 34u;
    scale |= half_at(start) << (16u * j);
    for (var v = 0u; v < 2u; v++) {
      let at = start + 2u + 16u * v;
      weights[unit_index(row, b, 2u, v)] = vec4<u32>(word_at(at), word_at(at + 4u), word_at(at + 8u), word_at(at + 12u));
    }
  }
  scales[scale_index(row, pair)] = scale;
}
