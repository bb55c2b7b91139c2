// How products are rounded to bf16 in the persistent walk: 8 bits. See persistent_code.wgsl.
const round_spacing = 0x1.8p16;
fn power_of(v: vec4<f32>) -> vec4<f32> { return bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)); }
