// 8 f16 weights widened.
alias Raw = vec4<u32>;
fn load_raw(row: u32, eighth: u32) -> Raw { return weights[unit_index(row, eighth >> 2u, 4u, eighth & 3u)]; }
fn eight_of(u: Raw) -> Eight {
  return Eight(vec4<f32>(unpack2x16float(u.x), unpack2x16float(u.y)), vec4<f32>(unpack2x16float(u.z), unpack2x16float(u.w)));
}
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
