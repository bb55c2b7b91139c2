// A block of q4_0 for packed dot products: nibbles become signed bytes (q - 8), so that no sums of activations are needed.
const has_min = false;
const two_scales = false;
alias Weights = vec4<u32>;
fn load_weights(row: u32, block: u32) -> Weights { return weights[unit_index(row, block, 1u, 0u)]; }
fn signed_bytes(v: u32) -> u32 { return ((v & 0x0f0f0f0fu) + 0x78787878u) ^ 0x80808080u; }
fn signed_low(w: Weights) -> vec4<u32> { return vec4<u32>(signed_bytes(w.x), signed_bytes(w.x >> 4u), signed_bytes(w.y), signed_bytes(w.y >> 4u)); }
fn signed_high(w: Weights) -> vec4<u32> { return vec4<u32>(signed_bytes(w.z), signed_bytes(w.z >> 4u), signed_bytes(w.w), signed_bytes(w.w >> 4u)); }
// Scale and minimum of blocks 2 * pair and 2 * pair + 1, as they are loaded and as floats.
fn load_scales(row: u32, pair: u32) -> vec2<u32> { return vec2<u32>(scales[scale_index(row, pair)], 0u); }
fn scales_of(s: vec2<u32>) -> vec4<f32> {
  let d = unpack2x16float(s.x);
  return vec4<f32>(d.x, 0.0, d.y, 0.0);
}
