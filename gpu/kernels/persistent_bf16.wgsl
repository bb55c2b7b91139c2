// bf16 weights in the persistent walk: layout of weight_bf16.wgsl, f32 sums.
struct Block { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }
fn block_W(at: u32) -> Block { return Block(weights_W[at], weights_W[at + 32u], weights_W[at + 64u], weights_W[at + 96u]); }
const block_units = 4u;

fn low(x: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(x << vec4<u32>(16u)); }
fn high(x: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(x & vec4<u32>(0xffff0000u)); }
fn dot_unit(w: vec4<u32>, x: vec4<u32>) -> f32 { return dot(low(w), low(x)) + dot(high(w), high(x)); }

fn dot_block(w: Block, scale: f32, block: u32) -> f32 {
  let at = 4u * block;
  return scale * (dot_unit(w.a, staged[at]) + dot_unit(w.b, staged[at + 1u]) + dot_unit(w.c, staged[at + 2u]) + dot_unit(w.d, staged[at + 3u]));
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let word = weights_W[at + (((row >> 5u) * blocks + (k >> 5u)) * 4u + ((k >> 3u) & 3u)) * 32u + (row & 31u)][(k >> 1u) & 3u];
  return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (k & 1u) == 1u));
}
