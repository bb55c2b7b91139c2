// q6_k weights in the persistent walk: layout and words of weight_q6_k.wgsl; the zero point (32) is taken off through the slots' sums.
struct Block_W { unit: vec4<u32>, both: u32, own: u32, a: u32, b: u32 }
const block_units_W = 1u;
fn row_words_W(pairs: u32) -> u32 { return (pairs >> 2u) * 21u; }
fn block_W(at: u32, words: u32, width: u32, block: u32) -> Block_W {
  let first = words + (block >> 3u) * 21u * width;
  let bits = first + (5u + 2u * (block & 7u)) * width;
  return Block_W(weights_W[at], scales[first], scales[first + (1u + ((block >> 1u) & 3u)) * width], scales[bits], scales[bits + width]);
}

// Four values of six bits, of which `high` brings the upper two.
fn six_W(word: u32, high: u32) -> u32 { return (word & 0x0f0f0f0fu) | ((high & 0x03030303u) << 4u); }
fn scales_of_W(w: Block_W, block: u32) -> vec2<f32> {
  let own = unpack4xI8(w.own);
  return unpack2x16float(w.both).x * vec2<f32>(select(own.xy, own.zw, (block & 1u) == 1u));
}
fn dot_block_W(w: Block_W, block: u32) -> f32 {
  let x = staged[2u * block];
  let y = staged[2u * block + 1u];
  let sx = staged_scales[2u * block];
  let sy = staged_scales[2u * block + 1u];
  let u = w.unit;
  let first = dot4I8Packed(six_W(u.x, w.a), x.x) + dot4I8Packed(six_W(u.x >> 4u, w.a >> 2u), x.y) + dot4I8Packed(six_W(u.y, w.a >> 4u), x.z) +
    dot4I8Packed(six_W(u.y >> 4u, w.a >> 6u), x.w);
  let second = dot4I8Packed(six_W(u.z, w.b), y.x) + dot4I8Packed(six_W(u.z >> 4u, w.b >> 2u), y.y) + dot4I8Packed(six_W(u.w, w.b >> 4u), y.z) +
    dot4I8Packed(six_W(u.w >> 4u, w.b >> 6u), y.w);
  return dot(scales_of_W(w, block), vec2<f32>(f32(first) * sx.x - 32.0 * sx.y, f32(second) * sy.x - 32.0 * sy.y));
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let w = block_W(at + ((row >> 5u) * blocks + (k >> 5u)) * 32u + (row & 31u), scale_at + (row >> 5u) * row_words_W(blocks >> 1u) * 32u + (row & 31u), 32u, k >> 5u);
  let second = (k >> 4u) & 1u;
  let high = (select(w.a, w.b, second == 1u) >> (8u * (k & 3u) + 2u * ((k >> 2u) & 3u))) & 3u;
  return scales_of_W(w, k >> 5u)[second] * (f32(nibble_of(w.unit, k) | (high << 4u)) - 32.0);
}
