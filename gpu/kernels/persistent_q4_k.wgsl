// q4_k weights in the persistent walk: layout and words of weight_q4_k.wgsl; the minimum goes with the slots' sums.
struct Block_W { unit: vec4<u32>, both: u32, own: u32 }
const block_units_W = 1u;
fn row_words_W(pairs: u32) -> u32 { return (pairs >> 2u) * 5u; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W {
  let first = words + (block >> 3u) * 5u * width;
  return Block_W(weights_W[at], scales[first], scales[first + (1u + ((block >> 1u) & 3u)) * width]);
}

fn dot_block_W(w: Block_W, block: u32) -> f32 { return dot(scales_of_W(w, block), dot_nibbles(w.unit, block)); }
// What a nibble is multiplied with, and what is added then.
fn scales_of_W(w: Block_W, block: u32) -> vec2<f32> {
  let own = w.own >> (16u * (block & 1u));
  return unpack2x16float(w.both) * vec2<f32>(f32(own & 63u), -f32((own >> 8u) & 63u));
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let w = block_W(at + ((row >> 5u) * blocks + (k >> 5u)) * 32u + (row & 31u), scale_at + (row >> 5u) * row_words_W(blocks >> 1u) * 32u + (row & 31u), 32u, k >> 5u);
  let s = scales_of_W(w, k >> 5u);
  return f32(nibble_of(w.unit, k)) * s.x + s.y;
}
