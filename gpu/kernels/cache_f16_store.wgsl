// Clamped to f16's range: an infinity would poison every later token of the sequence.
fn cache_store(pair: u32, value: vec2<f32>) { cache[pair] = pack2x16float(clamp(value, vec2<f32>(-65504.0), vec2<f32>(65504.0))); }
