// A block of q8_0 for packed dot products: signed bytes as they are.
const has_min = false;
const two_scales = false;
struct Weights { low: vec4<u32>, high: vec4<u32> }
fn load_weights(row: u32, block: u32) -> Weights { return Weights(weights[unit_index(row, block, 2u, 0u)], weights[unit_index(row, block, 2u, 1u)]); }
fn signed_low(w: Weights) -> vec4<u32> { return w.low; }
fn signed_high(w: Weights) -> vec4<u32> { return w.high; }
// Scale and minimum of blocks 2 * pair and 2 * pair + 1, as they are loaded and as floats.
fn load_scales(row: u32, pair: u32) -> vec2<u32> { return vec2<u32>(scales[scale_index(row, pair)], 0u); }
fn scales_of(s: vec2<u32>) -> vec4<f32> {
  let d = unpack2x16float(s.x);
  return vec4<f32>(d.x, 0.0, d.y, 0.0);
}
