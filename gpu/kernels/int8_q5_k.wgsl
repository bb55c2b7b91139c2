// A block of q5_k for packed dot products: its 5 bits as bytes; the minimum goes with the sum of the activations.
const has_min = true;
const two_scales = false;
struct Weights { unit: vec4<u32>, bits: u32 }
fn load_weights(row: u32, block: u32) -> Weights { return Weights(weights[unit_index(row, block, 1u, 0u)], word_of(row, block, 13u, 5u + (block & 7u))); }
fn bytes_of(a: u32, b: u32, bits: u32) -> vec4<u32> {
  return (vec4<u32>(a, a >> 4u, b, b >> 4u) & vec4<u32>(0x0f0f0f0fu)) | ((vec4<u32>(bits << 4u, bits << 3u, bits << 2u, bits << 1u)) & vec4<u32>(0x10101010u));
}
fn signed_low(w: Weights) -> vec4<u32> { return bytes_of(w.unit.x, w.unit.y, w.bits); }
fn signed_high(w: Weights) -> vec4<u32> { return bytes_of(w.unit.z, w.unit.w, w.bits >> 4u); }
fn load_scales(row: u32, pair: u32) -> vec2<u32> { return load_minimums(row, pair, 13u); }
