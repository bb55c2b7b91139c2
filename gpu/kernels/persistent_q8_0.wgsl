// q8_0 weights in the persistent walk: layout of weight_q8_0.wgsl, dot products of 4 signed bytes.
struct Block_W { a: vec4<u32>, b: vec4<u32>, scales: u32 }
const block_units_W = 2u;
fn row_words_W(pairs: u32) -> u32 { return pairs; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W {
  return Block_W(weights_W[at], weights_W[at + 32u], scales[words + (block >> 1u) * width]);
}

fn dot_block_W(w: Block_W, block: u32) -> f32 {
  let a = staged[2u * block];
  let b = staged[2u * block + 1u];
  let first = dot4I8Packed(w.a.x, a.x) + dot4I8Packed(w.a.y, a.y) + dot4I8Packed(w.a.z, a.z) + dot4I8Packed(w.a.w, a.w);
  let second = dot4I8Packed(w.b.x, b.x) + dot4I8Packed(w.b.y, b.y) + dot4I8Packed(w.b.z, b.z) + dot4I8Packed(w.b.w, b.w);
  return unpack2x16float(w.scales)[block & 1u] * (f32(first) * staged_scales[2u * block].x + f32(second) * staged_scales[2u * block + 1u].x);
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let word = weights_W[at + (((row >> 5u) * blocks + (k >> 5u)) * 2u + ((k >> 4u) & 1u)) * 32u + (row & 31u)][(k >> 2u) & 3u];
  let scale = unpack2x16float(scales[scale_at + ((row >> 5u) * (blocks >> 1u) + (k >> 6u)) * 32u + (row & 31u)])[(k >> 5u) & 1u];
  return f32(unpack4xI8(word)[k & 3u]) * scale;
}
