// What a lane loads ahead: 2 pairs of blocks of a 32-row group, 4 blocks of a 16-row group. Good for small blocks.
const full_ahead_W = 2u;
const half_ahead_W = 4u;
struct Full_W { a: Pair_W, b: Pair_W }
struct Half_W { a: Single_W, b: Single_W, c: Single_W, d: Single_W }

fn load_full_W(base: u32, scale: u32, group: u32, pair: u32, pairs: u32) -> Full_W {
  return Full_W(pair_W(base, scale, group, pair, pairs), pair_W(base, scale, group, pair + slices, pairs));
}
fn dot_full_W(w: Full_W) -> f32 { return dot_pair_W(w.a) + dot_pair_W(w.b); }

fn load_half_W(base: u32, scale: u32, group: u32, pair: u32, pairs: u32) -> Half_W {
  return Half_W(
    single_W(base, scale, group, pair, pairs),
    single_W(base, scale, group, pair + slices, pairs),
    single_W(base, scale, group, pair + 2u * slices, pairs),
    single_W(base, scale, group, pair + 3u * slices, pairs),
  );
}
fn dot_half_W(w: Half_W) -> f32 { return dot_single_W(w.a) + dot_single_W(w.b) + dot_single_W(w.c) + dot_single_W(w.d); }
