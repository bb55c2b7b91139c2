// What a lane multiplies with at a time: two blocks of a row of a 32-row group, one of a 16-row group. Past the end of K they count nothing.
struct Pair_W { x: Block_W, y: Block_W, block: u32, on: bool }
struct Single_W { x: Block_W, block: u32, on: bool }

fn pair_W(base: u32, scale: u32, group: u32, pair: u32, pairs: u32) -> Pair_W {
  let p = min(pair, pairs - 1u);
  let at = base + (group * pairs + p) * (64u * block_units_W) + lane;
  let words = scale + group * row_words_W(pairs) * 32u + lane;
  return Pair_W(block_W(at, words, 32u, 2u * p), block_W(at + 32u * block_units_W, words, 32u, 2u * p + 1u), 2u * p, pair < pairs);
}
fn dot_pair_W(w: Pair_W) -> f32 { return select(0.0, dot_block_W(w.x, w.block) + dot_block_W(w.y, w.block + 1u), w.on); }

// The lower lanes take a pair's first block, the upper ones its second.
fn single_W(base: u32, scale: u32, group: u32, pair: u32, pairs: u32) -> Single_W {
  let p = min(pair, pairs - 1u);
  let at = base + (group * pairs + p) * (32u * block_units_W) + lane;
  let words = scale + group * row_words_W(pairs) * 16u + (lane & 15u);
  let block = 2u * p + (lane >> 4u);
  return Single_W(block_W(at, words, 16u, block), block, pair < pairs);
}
fn dot_single_W(w: Single_W) -> f32 { return select(0.0, dot_block_W(w.x, w.block), w.on); }
