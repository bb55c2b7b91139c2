// KV cache in f16: a pair is one word.
fn cache_load(pair: u32) -> vec2<f32> { return unpack2x16float(cache[pair]); }
