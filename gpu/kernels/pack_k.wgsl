// What the K formats share: super-blocks of 8 blocks of 32 values; blocks 2j and 2j + 1 lie in 32 bytes, one in the low nibbles, the other in the high ones.
// The 16 bytes of 32 values of 4 bits; value v is in byte v, `shift` says in which nibble. In the unit word i holds 8i .. 8i+3 low, 8i+4 .. 8i+7 high.
fn unit_of(byte: u32, shift: u32) -> vec4<u32> {
  var unit = vec4<u32>(0u);
  for (var i = 0u; i < 4u; i++) {
    unit[i] = ((word_at(byte + 8u * i) >> shift) & 0x0f0f0f0fu) | (((word_at(byte + 8u * i + 4u) >> shift) & 0x0f0f0f0fu) << 4u);
  }
  return unit;
}
// Where word `i` of a super-block goes, of `words` it has beside its units.
fn word_index(row: u32, block: u32, words: u32, i: u32) -> u32 { return slot_index(row, (block >> 3u) * words + i, (matrix.blocks >> 3u) * words); }
