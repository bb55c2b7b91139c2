// KV cache in bf16: a pair is one word.
fn cache_load(pair: u32) -> vec2<f32> { return vec2<f32>(bitcast<f32>(cache[pair] << 16u), bitcast<f32>(cache[pair] & 0xffff0000u)); }
