// q5_k weights in the persistent walk: layout and words of weight_q5_k.wgsl; the minimum goes with the slots' sums.
struct Block_W { unit: vec4<u32>, both: u32, own: u32, bits: u32 }
const block_units_W = 1u;
fn row_words_W(pairs: u32) -> u32 { return (pairs >> 2u) * 13u; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W {
  let first = words + (block >> 3u) * 13u * width;
  return Block_W(weights_W[at], scales[first], scales[first + (1u + ((block >> 1u) & 3u)) * width], scales[first + (5u + (block & 7u)) * width]);
}

// Four values of five bits, of which `high` brings the upper one.
fn five_W(word: u32, high: u32) -> u32 { return (word & 0x0f0f0f0fu) | ((high & 0x01010101u) << 4u); }
// What a value is multiplied with, and what is added then.
fn scales_of_W(w: Block_W, block: u32) -> vec2<f32> {
  let own = w.own >> (16u * (block & 1u));
  return unpack2x16float(w.both) * vec2<f32>(f32(own & 63u), -f32((own >> 8u) & 63u));
}
fn dot_block_W(w: Block_W, block: u32) -> f32 {
  let a = staged[2u * block];
  let b = staged[2u * block + 1u];
  let sa = staged_scales[2u * block];
  let sb = staged_scales[2u * block + 1u];
  let u = w.unit;
  let h = w.bits;
  let first = dot4I8Packed(five_W(u.x, h), a.x) + dot4I8Packed(five_W(u.x >> 4u, h >> 1u), a.y) + dot4I8Packed(five_W(u.y, h >> 2u), a.z) +
    dot4I8Packed(five_W(u.y >> 4u, h >> 3u), a.w);
  let second = dot4I8Packed(five_W(u.z, h >> 4u), b.x) + dot4I8Packed(five_W(u.z >> 4u, h >> 5u), b.y) + dot4I8Packed(five_W(u.w, h >> 6u), b.z) +
    dot4I8Packed(five_W(u.w >> 4u, h >> 7u), b.w);
  return dot(scales_of_W(w, block), vec2<f32>(f32(first) * sa.x + f32(second) * sb.x, sa.y + sb.y));
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let w = block_W(at + ((row >> 5u) * blocks + (k >> 5u)) * 32u + (row & 31u), scale_at + (row >> 5u) * row_words_W(blocks >> 1u) * 32u + (row & 31u), 32u, k >> 5u);
  let s = scales_of_W(w, k >> 5u);
  let high = (w.bits >> (8u * (k & 3u) + ((k >> 2u) & 7u))) & 1u;
  return f32(nibble_of(w.unit, k) | (high << 4u)) * s.x + s.y;
}
