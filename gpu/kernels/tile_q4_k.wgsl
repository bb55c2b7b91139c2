// 8 weights of q4_k.
struct Raw { word: u32, scales: vec2<f32> }
fn load_raw(row: u32, eighth: u32) -> Raw { return Raw(weights[unit_index(row, eighth >> 2u, 1u, 0u)][eighth & 3u], scales_of(row, eighth >> 2u)); }
fn eight_of(r: Raw) -> Eight {
  let s = r.scales;
  return Eight(fma(vec4<f32>(s.x), nibbles(r.word), vec4<f32>(-s.y)), fma(vec4<f32>(s.x), nibbles(r.word >> 4u), vec4<f32>(-s.y)));
}
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
