// Writes one block of 32 values as signed bytes (see quantize_rows.wgsl).
fn most_of(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn packed(v: vec4<f32>) -> u32 { return pack4xI8(vec4<i32>(round(v))); }
fn sum_of(u: vec4<u32>) -> i32 {
  return dot4I8Packed(u.x, 0x01010101u) + dot4I8Packed(u.y, 0x01010101u) + dot4I8Packed(u.z, 0x01010101u) + dot4I8Packed(u.w, 0x01010101u);
}
fn quantize_block(block: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32>) {
  let most = most_of(max(max(max(abs(a), abs(b)), max(abs(c), abs(d))), max(max(abs(e), abs(f)), max(abs(g), abs(h)))));
  let inverse = select(0.0, 127.0 / most, most > 1e-30);
  let low = vec4<u32>(packed(a * inverse), packed(b * inverse), packed(c * inverse), packed(d * inverse));
  let high = vec4<u32>(packed(e * inverse), packed(f * inverse), packed(g * inverse), packed(h * inverse));
  let scale = most / 127.0;
  units[2u * block] = low;
  units[2u * block + 1u] = high;
  factors[block] = vec2<f32>(scale, scale * f32(sum_of(low) + sum_of(high)));
}
