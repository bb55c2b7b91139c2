// Weights of bitsandbytes that were bf16, in the persistent walk: layout and words of weight_four_bit.wgsl, activations of persistent_wide.wgsl, f32 sums.
struct Block_W { unit: vec4<u32>, absmax: f32, code: u32 }
const block_units_W = 1u;
fn row_words_W(pairs: u32) -> u32 { return pairs + 1u; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W {
  return Block_W(weights_W[at], bitcast<f32>(scales[words + (1u + (block >> 1u)) * width]), words - (lane & 15u));
}

fn four_bit(code: u32, absmax: f32, word: u32) -> vec4<f32> {
  let numbers = vec4<u32>(scales[code + (word & 15u)], scales[code + ((word >> 8u) & 15u)], scales[code + ((word >> 16u) & 15u)], scales[code + ((word >> 24u) & 15u)]);
  let bits = bitcast<vec4<u32>>(bitcast<vec4<f32>>(numbers) * absmax);
  return high(bits + 0x7fffu + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u)));
}
// Of two neighbours the first is in the high half of a byte; of two activations in the low half of a word.
fn dot_word_W(w: Block_W, word: u32, x: vec4<u32>) -> f32 {
  return dot(four_bit(w.code, w.absmax, word >> 4u), low(x)) + dot(four_bit(w.code, w.absmax, word), high(x));
}
fn dot_block_W(w: Block_W, block: u32) -> f32 {
  let at = 4u * block;
  return (dot_word_W(w, w.unit.x, staged[at]) + dot_word_W(w, w.unit.y, staged[at + 1u])) + (dot_word_W(w, w.unit.z, staged[at + 2u]) + dot_word_W(w, w.unit.w, staged[at + 3u]));
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let word = weights_W[at + ((row >> 5u) * blocks + (k >> 5u)) * 32u + (row & 31u)][(k >> 3u) & 3u];
  let code = scale_at + (row >> 5u) * row_words_W(blocks >> 1u) * 32u;
  let absmax = bitcast<f32>(scales[code + (1u + (k >> 6u)) * 32u + (row & 31u)]);
  return four_bit(code, absmax, word >> ((4u * (k & 7u)) ^ 4u)).x;
}
