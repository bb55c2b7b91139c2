// A block of q6_k for packed dot products: its 6 bits as signed bytes (q - 32); 16 values share a scale.
const has_min = false;
const two_scales = true;
struct Weights { unit: vec4<u32>, low: u32, high: u32 }
fn load_weights(row: u32, block: u32) -> Weights {
  let word = 5u + 2u * (block & 7u);
  return Weights(weights[unit_index(row, block, 1u, 0u)], word_of(row, block, 21u, word), word_of(row, block, 21u, word + 1u));
}
fn bytes_of(a: u32, b: u32, bits: u32) -> vec4<u32> {
  let nibbles = vec4<u32>(a, a >> 4u, b, b >> 4u) & vec4<u32>(0x0f0f0f0fu);
  let six = nibbles | (vec4<u32>(bits << 4u, bits << 2u, bits, bits >> 2u) & vec4<u32>(0x30303030u));
  return (six + vec4<u32>(0x60606060u)) ^ vec4<u32>(0x80808080u);
}
fn signed_low(w: Weights) -> vec4<u32> { return bytes_of(w.unit.x, w.unit.y, w.low); }
fn signed_high(w: Weights) -> vec4<u32> { return bytes_of(w.unit.z, w.unit.w, w.high); }
// Scales of both halves of blocks 2 * pair and 2 * pair + 1, as they are loaded and as floats.
fn load_scales(row: u32, pair: u32) -> vec2<u32> { return vec2<u32>(word_of(row, 2u * pair, 21u, 0u), word_of(row, 2u * pair, 21u, 1u + (pair & 3u))); }
fn scales_of(s: vec2<u32>) -> vec4<f32> { return unpack2x16float(s.x).x * vec4<f32>(unpack4xI8(s.y)); }
