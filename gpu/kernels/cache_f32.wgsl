// KV cache in f32: a pair is two words.
fn cache_load(pair: u32) -> vec2<f32> { return vec2<f32>(bitcast<f32>(cache[2u * pair]), bitcast<f32>(cache[2u * pair + 1u])); }
