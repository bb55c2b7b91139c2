// KV cache in f16 as 16-byte units: eight values a unit.
const eight_units = 1u;
fn eight_of(a: vec4<u32>, b: vec4<u32>) -> Eight {
  return Eight(vec4<f32>(unpack2x16float(a.x), unpack2x16float(a.y)), vec4<f32>(unpack2x16float(a.z), unpack2x16float(a.w)));
}
fn pair_at(eight: u32, pair: u32) -> vec2<f32> { return unpack2x16float(cache[eight + (pair >> 2u)][pair & 3u]); }
