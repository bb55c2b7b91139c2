// Blocks of a row group with their scales; past the end of K the scale is zero.
struct Pair { x: Block, y: Block, scale: vec2<f32>, block: u32 }
struct Single { x: Block, scale: f32, block: u32 }

// Pair `pair` of a 32-row group whose pairs begin at number `first` of the matrix: two blocks of the lane's row.
fn pair_W(base: u32, scale: u32, first: u32, pair: u32, pairs: u32) -> Pair {
  let p = min(pair, pairs - 1u);
  let at = base + (first + p) * (64u * block_units) + lane;
  var s = vec2<f32>(1.0);
  if (slot_scales) { s = unpack2x16float(scales[scale + (first + p) * 32u + lane]); }
  return Pair(block_W(at), block_W(at + 32u * block_units), select(vec2<f32>(0.0), s, pair < pairs), 2u * p);
}
fn dot_pair(w: Pair) -> f32 { return dot_block(w.x, w.scale.x, w.block) + dot_block(w.y, w.scale.y, w.block + 1u); }

// Pair `pair` of a 16-row group: the lower lanes take its first block, the upper ones its second.
fn single_W(base: u32, scale: u32, first: u32, pair: u32, pairs: u32) -> Single {
  let p = min(pair, pairs - 1u);
  let at = base + (first + p) * (32u * block_units) + lane;
  var s = 1.0;
  if (slot_scales) { s = unpack2x16float(scales[scale + (first + p) * 16u + (lane & 15u)])[lane >> 4u]; }
  return Single(block_W(at), select(0.0, s, pair < pairs), 2u * p + (lane >> 4u));
}
fn dot_single(w: Single) -> f32 { return dot_block(w.x, w.scale, w.block); }
