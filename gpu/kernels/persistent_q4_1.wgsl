// q4_1 weights in the persistent walk: layout of weight_q4_1.wgsl; the minimum goes with the slots' sums.
struct Block_W { unit: vec4<u32>, scales: u32 }
const block_units_W = 1u;
fn row_words_W(pairs: u32) -> u32 { return 2u * pairs; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W { return Block_W(weights_W[at], scales[words + block * width]); }

fn dot_block_W(w: Block_W, block: u32) -> f32 { return dot(unpack2x16float(w.scales), dot_nibbles(w.unit, block)); }
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let i = ((row >> 5u) * blocks + (k >> 5u)) * 32u + (row & 31u);
  let s = unpack2x16float(scales[scale_at + i]);
  return f32(nibble_of(weights_W[at + i], k)) * s.x + s.y;
}
