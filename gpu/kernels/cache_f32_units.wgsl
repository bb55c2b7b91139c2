// KV cache in f32 as 16-byte units: eight values are two units.
const eight_units = 2u;
fn eight_of(a: vec4<u32>, b: vec4<u32>) -> Eight { return Eight(bitcast<vec4<f32>>(a), bitcast<vec4<f32>>(b)); }
fn pair_at(eight: u32, pair: u32) -> vec2<f32> {
  let unit = 2u * eight + (pair >> 1u);
  let at = 2u * (pair & 1u);
  return bitcast<vec2<f32>>(vec2<u32>(cache[unit][at], cache[unit][at + 1u]));
}
