// KV cache in f16, 8 values a unit of 16 bytes.
fn cache_pair(value: vec2<f32>) -> u32 { return pack2x16float(clamp(value, vec2<f32>(-65504.0), vec2<f32>(65504.0))); }
fn even_values(unit: vec4<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(unit.x).x, unpack2x16float(unit.y).x, unpack2x16float(unit.z).x, unpack2x16float(unit.w).x); }
fn odd_values(unit: vec4<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(unit.x).y, unpack2x16float(unit.y).y, unpack2x16float(unit.z).y, unpack2x16float(unit.w).y); }
