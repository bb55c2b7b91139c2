// The 16 bytes of a block of 4-bit values: in the file the low nibbles are values 0..15 and the high ones 16..31; in the unit word i holds 8i .. 8i+3 low, 8i+4 .. 8i+7 high.
fn unit_of(byte: u32) -> vec4<u32> {
  let a = word_at(byte);
  let b = word_at(byte + 4u);
  let c = word_at(byte + 8u);
  let d = word_at(byte + 12u);
  let low = 0x0f0f0f0fu;
  return vec4<u32>((a & low) | ((b & low) << 4u), (c & low) | ((d & low) << 4u), ((a >> 4u) & low) | (b & ~low), ((c >> 4u) & low) | (d & ~low));
}
