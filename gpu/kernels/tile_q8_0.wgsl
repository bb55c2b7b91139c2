// 8 weights of q8_0.
struct Raw { low: u32, high: u32, scale: f32 }
fn load_raw(row: u32, eighth: u32) -> Raw {
  let unit = weights[unit_index(row, eighth >> 2u, 2u, (eighth >> 1u) & 1u)];
  let words = select(unit.xy, unit.zw, (eighth & 1u) == 1u);
  return Raw(words.x, words.y, scale_of(row, eighth >> 2u));
}
fn eight_of(r: Raw) -> Eight { return Eight(r.scale * vec4<f32>(unpack4xI8(r.low)), r.scale * vec4<f32>(unpack4xI8(r.high))); }
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
