// 8 weights of q6_k.
struct Raw { word: u32, bits: u32, scale: f32 }
fn load_raw(row: u32, eighth: u32) -> Raw {
  let block = eighth >> 2u;
  let i = eighth & 3u;
  let s = scales_of(row, block);
  let bits = word_of(row, block, 21u, 5u + 2u * (block & 7u) + (i >> 1u)) >> (4u * (i & 1u));
  return Raw(weights[unit_index(row, block, 1u, 0u)][i], bits, select(s.x, s.y, i > 1u));
}
fn eight_of(r: Raw) -> Eight { return Eight(r.scale * sixes(r.word, r.bits), r.scale * sixes(r.word >> 4u, r.bits >> 2u)); }
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
