// 8 f16 weights widened.
fn load_eight(row: u32, eighth: u32) -> Eight {
  let u = weights[unit_index(row, eighth >> 2u, 4u, eighth & 3u)];
  return Eight(vec4<f32>(unpack2x16float(u.x), unpack2x16float(u.y)), vec4<f32>(unpack2x16float(u.z), unpack2x16float(u.w)));
}
