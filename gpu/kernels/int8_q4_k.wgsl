// A block of q4_k for packed dot products: nibbles as bytes; the minimum goes with the sum of the activations.
const has_min = true;
const two_scales = false;
alias Weights = vec4<u32>;
fn load_weights(row: u32, block: u32) -> Weights { return weights[unit_index(row, block, 1u, 0u)]; }
fn bytes_of(a: u32, b: u32) -> vec4<u32> { return vec4<u32>(a, a >> 4u, b, b >> 4u) & vec4<u32>(0x0f0f0f0fu); }
fn signed_low(w: Weights) -> vec4<u32> { return bytes_of(w.x, w.y); }
fn signed_high(w: Weights) -> vec4<u32> { return bytes_of(w.z, w.w); }
fn load_scales(row: u32, pair: u32) -> vec2<u32> { return load_minimums(row, pair, 5u); }
