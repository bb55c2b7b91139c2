// How products are rounded to f16 in the persistent walk: 11 bits, fewer below its normal numbers. See persistent_code.wgsl.
const round_spacing = 0x1.8p13;
fn power_of(v: vec4<f32>) -> vec4<f32> { return max(bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)), vec4<f32>(0x1p-14)); }
