// KV cache in bf16 as 16-byte units: eight values a unit.
const eight_units = 1u;
fn eight_of(a: vec4<u32>, b: vec4<u32>) -> Eight {
  return Eight(bitcast<vec4<f32>>(vec4<u32>(a.x << 16u, a.x & 0xffff0000u, a.y << 16u, a.y & 0xffff0000u)),
    bitcast<vec4<f32>>(vec4<u32>(a.z << 16u, a.z & 0xffff0000u, a.w << 16u, a.w & 0xffff0000u)));
}
fn pair_at(eight: u32, pair: u32) -> vec2<f32> {
  let word = cache[eight + (pair >> 2u)][pair & 3u];
  return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}
