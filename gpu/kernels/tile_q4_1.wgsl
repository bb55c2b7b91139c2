// 8 weights of q4_1.
struct Raw { word: u32, scales: u32 }
fn load_raw(row: u32, eighth: u32) -> Raw {
  let at = unit_index(row, eighth >> 2u, 1u, 0u);
  return Raw(weights[at][eighth & 3u], scales[at]);
}
fn eight_of(r: Raw) -> Eight {
  let dm = unpack2x16float(r.scales);
  return Eight(fma(vec4<f32>(dm.x), nibbles(r.word), vec4<f32>(dm.y)), fma(vec4<f32>(dm.x), nibbles(r.word >> 4u), vec4<f32>(dm.y)));
}
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
