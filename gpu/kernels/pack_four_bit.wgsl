// bitsandbytes: 36 bytes a pair of blocks {f32 absmax; nibbles[32]}. The row that begins a half of a group writes the code (weight_four_bit.wgsl).
fn pack_pair(source: u32, row: u32, pair: u32) {
  let slots = (matrix.blocks >> 1u) + 1u;
  for (var j = 0u; j < 2u; j++) {
    let at = source + pair * 36u + 4u + 16u * j;
    weights[unit_index(row, 2u * pair + j, 1u, 0u)] = vec4<u32>(word_at(at), word_at(at + 4u), word_at(at + 8u), word_at(at + 12u));
  }
  scales[slot_index(row, 1u + pair, slots)] = word_at(source + pair * 36u);
  if (pair > 0u || (row & 15u) > 0u) { return; }
  for (var i = 0u; i < 16u; i++) { scales[slot_index(row, 0u, slots) + i] = bitcast<u32>(number(i)); }
}
