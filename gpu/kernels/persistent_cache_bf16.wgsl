// KV cache in bf16, 8 values a unit of 16 bytes.
fn rounded_bf16(value: f32) -> u32 { let b = bitcast<u32>(value); return (b + 0x7fffu + ((b >> 16u) & 1u)) >> 16u; }
fn cache_pair(value: vec2<f32>) -> u32 { return rounded_bf16(value.x) | (rounded_bf16(value.y) << 16u); }
fn even_values(unit: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(unit << vec4<u32>(16u)); }
fn odd_values(unit: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(unit & vec4<u32>(0xffff0000u)); }
