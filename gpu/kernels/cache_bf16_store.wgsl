// Rounds to nearest, ties to even.
fn rounded(value: f32) -> u32 { let b = bitcast<u32>(value); return (b + 0x7fffu + ((b >> 16u) & 1u)) >> 16u; }
fn cache_store(pair: u32, value: vec2<f32>) { cache[pair] = rounded(value.x) | (rounded(value.y) << 16u); }
