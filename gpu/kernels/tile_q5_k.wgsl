// 8 weights of q5_k.
struct Raw { word: u32, bits: u32, scales: vec2<f32> }
fn load_raw(row: u32, eighth: u32) -> Raw {
  let block = eighth >> 2u;
  let i = eighth & 3u;
  return Raw(weights[unit_index(row, block, 1u, 0u)][i], word_of(row, block, 13u, 5u + (block & 7u)) >> (2u * i), scales_of(row, block));
}
fn eight_of(r: Raw) -> Eight {
  let s = r.scales;
  return Eight(fma(vec4<f32>(s.x), fives(r.word, r.bits), vec4<f32>(-s.y)), fma(vec4<f32>(s.x), fives(r.word >> 4u, r.bits >> 1u), vec4<f32>(-s.y)));
}
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
