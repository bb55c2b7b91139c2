// A block of q8_0 for packed dot products: signed bytes as they are.
const has_min = false;
const two_scales = false;
struct Weights { low: vec4<u32>, high: vec4<u32> }
fn load_weights(row: u32, block: u32) -> Weights { return Weights(weights[unit_index(row, block, 2u, 0u)], weights[unit_index(row, block, 2u, 1u)]); }
fn signed_low(w: Weights) -> vec4<u32> { return w.low; }
fn signed_high(w: Weights) -> vec4<u32> { return w.high; }
fn pair_scales(row: u32, pair: u32) -> vec4<f32> {
  let s = unpack2x16float(scales[scale_index(row, pair)]);
  return vec4<f32>(s.x, 0.0, s.y, 0.0);
}
