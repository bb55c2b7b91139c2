// Values of weights that were bf16: the nearest one, ties to even.
fn rounded(v: vec4<f32>) -> vec4<f32> {
  let bits = bitcast<vec4<u32>>(v);
  return bitcast<vec4<f32>>((bits + 0x7fffu + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u))) & vec4<u32>(0xffff0000u));
}
