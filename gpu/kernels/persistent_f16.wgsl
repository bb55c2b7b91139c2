// f16 weights in the persistent walk: layout of weight_f16.wgsl, f32 sums.
struct Block_W { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }
const block_units_W = 4u;
fn row_words_W(pairs: u32) -> u32 { return 0u; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W {
  return Block_W(weights_W[at], weights_W[at + 32u], weights_W[at + 64u], weights_W[at + 96u]);
}

fn dot_unit_W(w: vec4<u32>, x: vec4<u32>) -> f32 {
  let a = unpack2x16float(w.x);
  let b = unpack2x16float(w.y);
  let c = unpack2x16float(w.z);
  let d = unpack2x16float(w.w);
  return dot(vec4<f32>(a.x, b.x, c.x, d.x), low(x)) + dot(vec4<f32>(a.y, b.y, c.y, d.y), high(x));
}
fn dot_block_W(w: Block_W, block: u32) -> f32 {
  let at = 4u * block;
  return (dot_unit_W(w.a, staged[at]) + dot_unit_W(w.b, staged[at + 1u])) + (dot_unit_W(w.c, staged[at + 2u]) + dot_unit_W(w.d, staged[at + 3u]));
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  return unpack2x16float(weights_W[at + (((row >> 5u) * blocks + (k >> 5u)) * 4u + ((k >> 3u) & 3u)) * 32u + (row & 31u)][(k >> 1u) & 3u])[k & 1u];
}
