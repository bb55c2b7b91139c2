// What a lane loads ahead: 2 pairs of blocks of a 32-row group, 4 blocks of a 16-row group. Good for small blocks (q4_0, q8_0).
const full_ahead = 2u;
const half_ahead = 4u;
struct Full { a: Pair, b: Pair }
struct Half { a: Single, b: Single, c: Single, d: Single }

fn load_full_W(base: u32, scale: u32, first: u32, pair: u32, pairs: u32) -> Full {
  return Full(pair_W(base, scale, first, pair, pairs), pair_W(base, scale, first, pair + slices, pairs));
}
fn dot_full(w: Full) -> f32 { return dot_pair(w.a) + dot_pair(w.b); }

fn load_half_W(base: u32, scale: u32, first: u32, pair: u32, pairs: u32) -> Half {
  return Half(
    single_W(base, scale, first, pair, pairs),
    single_W(base, scale, first, pair + slices, pairs),
    single_W(base, scale, first, pair + 2u * slices, pairs),
    single_W(base, scale, first, pair + 3u * slices, pairs),
  );
}
fn dot_half(w: Half) -> f32 { return dot_single(w.a) + dot_single(w.b) + dot_single(w.c) + dot_single(w.d); }
