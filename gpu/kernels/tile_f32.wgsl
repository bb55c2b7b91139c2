// 8 f32 weights.
fn load_eight(row: u32, eighth: u32) -> Eight {
  let unit = (2u * eighth) & 7u;
  return Eight(bitcast<vec4<f32>>(weights[unit_index(row, eighth >> 2u, 8u, unit)]), bitcast<vec4<f32>>(weights[unit_index(row, eighth >> 2u, 8u, unit + 1u)]));
}
alias Raw = Eight;
fn load_raw(row: u32, eighth: u32) -> Raw { return load_eight(row, eighth); }
fn eight_of(w: Raw) -> Eight { return w; }
