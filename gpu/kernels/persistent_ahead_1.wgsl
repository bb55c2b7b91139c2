// What a lane loads ahead: 1 pair of blocks of a 32-row group, 2 blocks of a 16-row group. Good for big blocks (bf16).
const full_ahead = 1u;
const half_ahead = 2u;
struct Full { a: Pair }
struct Half { a: Single, b: Single }

fn load_full_W(base: u32, scale: u32, first: u32, pair: u32, pairs: u32) -> Full { return Full(pair_W(base, scale, first, pair, pairs)); }
fn dot_full(w: Full) -> f32 { return dot_pair(w.a); }

fn load_half_W(base: u32, scale: u32, first: u32, pair: u32, pairs: u32) -> Half {
  return Half(single_W(base, scale, first, pair, pairs), single_W(base, scale, first, pair + slices, pairs));
}
fn dot_half(w: Half) -> f32 { return dot_single(w.a) + dot_single(w.b); }
