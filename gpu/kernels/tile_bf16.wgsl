// 8 bf16 weights widened.
fn load_eight(row: u32, eighth: u32) -> Eight {
  let u = weights[unit_index(row, eighth >> 2u, 4u, eighth & 3u)];
  return Eight(bitcast<vec4<f32>>(vec4<u32>(u.x << 16u, u.x & 0xffff0000u, u.y << 16u, u.y & 0xffff0000u)),
    bitcast<vec4<f32>>(vec4<u32>(u.z << 16u, u.z & 0xffff0000u, u.w << 16u, u.w & 0xffff0000u)));
}
