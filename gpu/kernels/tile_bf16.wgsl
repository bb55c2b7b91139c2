// 8 bf16 weights widened.
alias Raw = vec4<u32>;
fn load_raw(row: u32, eighth: u32) -> Raw { return weights[unit_index(row, eighth >> 2u, 4u, eighth & 3u)]; }
fn eight_of(u: Raw) -> Eight {
  return Eight(bitcast<vec4<f32>>(vec4<u32>(u.x << 16u, u.x & 0xffff0000u, u.y << 16u, u.y & 0xffff0000u)),
    bitcast<vec4<f32>>(vec4<u32>(u.z << 16u, u.z & 0xffff0000u, u.w << 16u, u.w & 0xffff0000u)));
}
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
