// A block of q8_0 on its way into a tile: signed bytes as they are.
struct Weights { low: vec4<u32>, high: vec4<u32> }
fn load_weights(row: u32, block: u32) -> Weights { return Weights(weights[unit_index(row, block, 2u, 0u)], weights[unit_index(row, block, 2u, 1u)]); }
fn signed_low(w: Weights) -> vec4<u32> { return w.low; }
fn signed_high(w: Weights) -> vec4<u32> { return w.high; }
