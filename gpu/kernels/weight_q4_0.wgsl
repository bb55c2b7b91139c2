// q4_0 weights: a block of 32 values is one unit of 16 bytes: the low nibbles of word i are values 8i .. 8i+3, its high nibbles 8i+4 .. 8i+7 (each + 8);
// scales are f16, two blocks a word. Where: layout.wgsl.
fn scale_of(row: u32, block: u32) -> f32 { return unpack2x16float(scales[scale_index(row, block >> 1u)])[block & 1u]; }
fn weight_at(row: u32, k: u32) -> f32 {
  let nibble = (weights[unit_index(row, k >> 5u, 1u, 0u)][(k >> 3u) & 3u] >> (8u * (k & 3u) + (k & 4u))) & 15u;
  return (f32(nibble) - 8.0) * scale_of(row, k >> 5u);
}
fn nibbles(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)) - 8.0; }
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  let w = weights[unit_index(row, block, 1u, 0u)];
  var sum = 0.0;
  for (var i = 0u; i < 4u; i++) {
    let at = base + block * 32u + i * 8u;
    sum += dot(nibbles(w[i]), x_at(at)) + dot(nibbles(w[i] >> 4u), x_at(at + 4u));
  }
  return sum * scale_of(row, block);
}
