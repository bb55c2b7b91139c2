// Values of weights that were f16: the nearest one, ties to even. A compiler may leave out packing that is unpacked at once, and not round: hence the bits;
// below f16's normal numbers, all multiples of 2^-24, the sum with 0.75 has no bits to spare.
fn rounded(v: vec4<f32>) -> vec4<f32> {
  let bits = bitcast<vec4<u32>>(v);
  let normal = bitcast<vec4<f32>>((bits + 0xfffu + ((bits >> vec4<u32>(13u)) & vec4<u32>(1u))) & vec4<u32>(0xffffe000u));
  let shifted = bitcast<vec4<u32>>(abs(v) + 0.75) - 0x3f400000u;
  let small = vec4<f32>(shifted) * 0x1p-24;
  return select(normal, select(small, -small, v < vec4<f32>(0.0)), abs(v) < vec4<f32>(0x1p-14));
}
