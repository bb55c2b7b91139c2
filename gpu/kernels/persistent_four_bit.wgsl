// Weights of bitsandbytes in the persistent walk: layout and words of weight_four_bit.wgsl, activations of persistent_wide.wgsl, f32 sums.
struct Block_W { unit: vec4<u32>, absmax: f32 }
const block_units_W = 1u;
fn row_words_W(pairs: u32) -> u32 { return pairs + 1u; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W {
  return Block_W(weights_W[at], bitcast<f32>(scales[words + (1u + (block >> 1u)) * width]));
}

// Of each byte the value in its low half.
fn four_W(absmax: f32, word: u32) -> vec4<f32> {
  return rounded(absmax * vec4<f32>(numbers[word & 15u], numbers[(word >> 8u) & 15u], numbers[(word >> 16u) & 15u], numbers[(word >> 24u) & 15u]));
}
// Of two neighbours the first is in the high half of a byte; of two activations in the low half of a word.
fn add_word_W(sum: vec4<f32>, absmax: f32, word: u32, x: vec4<u32>) -> vec4<f32> {
  return fma(four_W(absmax, word), high(x), fma(four_W(absmax, word >> 4u), low(x), sum));
}
fn dot_block_W(w: Block_W, block: u32) -> f32 {
  let at = 4u * block;
  var sum = add_word_W(vec4<f32>(0.0), w.absmax, w.unit.x, staged[at]);
  sum = add_word_W(sum, w.absmax, w.unit.y, staged[at + 1u]);
  sum = add_word_W(sum, w.absmax, w.unit.z, staged[at + 2u]);
  sum = add_word_W(sum, w.absmax, w.unit.w, staged[at + 3u]);
  return (sum.x + sum.y) + (sum.z + sum.w);
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let w = block_W(at + ((row >> 5u) * blocks + (k >> 5u)) * 32u + (row & 31u), scale_at + (row >> 5u) * row_words_W(blocks >> 1u) * 32u + (row & 31u), 32u, k >> 5u);
  return four_W(w.absmax, w.unit[(k >> 3u) & 3u] >> ((4u * (k & 7u)) ^ 4u)).x;
}
