// Values of weights that were f16: the nearest one, ties to even.
fn rounded(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(pack2x16float(v.xy)), unpack2x16float(pack2x16float(v.zw))); }
