// 8 weights of any format, looked up one by one.
fn load_eight(row: u32, eighth: u32) -> Eight {
  let k = 8u * eighth;
  return Eight(vec4<f32>(weight_at(row, k), weight_at(row, k + 1u), weight_at(row, k + 2u), weight_at(row, k + 3u)),
    vec4<f32>(weight_at(row, k + 4u), weight_at(row, k + 5u), weight_at(row, k + 6u), weight_at(row, k + 7u)));
}
alias Raw = Eight;
fn load_raw(row: u32, eighth: u32) -> Raw { return load_eight(row, eighth); }
fn eight_of(w: Raw) -> Eight { return w; }
