// q4_0 weights in the persistent walk: layout of weight_q4_0.wgsl, dot products of 4 signed bytes, the nibbles' zero point (8) taken off through the slots' sums.
struct Block_W { unit: vec4<u32>, scales: u32 }
const block_units_W = 1u;
fn row_words_W(pairs: u32) -> u32 { return pairs; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W { return Block_W(weights_W[at], scales[words + (block >> 1u) * width]); }

fn dot_block_W(w: Block_W, block: u32) -> f32 {
  let x = dot_nibbles(w.unit, block);
  return unpack2x16float(w.scales)[block & 1u] * (x.x - 8.0 * x.y);
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let unit = weights_W[at + ((row >> 5u) * blocks + (k >> 5u)) * 32u + (row & 31u)];
  let scale = unpack2x16float(scales[scale_at + ((row >> 5u) * (blocks >> 1u) + (k >> 6u)) * 32u + (row & 31u)])[(k >> 5u) & 1u];
  return (f32(nibble_of(unit, k)) - 8.0) * scale;
}
