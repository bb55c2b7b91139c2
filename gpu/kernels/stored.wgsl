// Eight values as they are stored.
struct Stored { first: vec4<u32>, second: vec4<u32> }
fn stored_at(eight: u32) -> Stored {
  let first = cache[eight * eight_units];
  if (eight_units == 1u) { return Stored(first, first); }
  return Stored(first, cache[eight * eight_units + 1u]);
}
fn widened(s: Stored) -> Eight { return eight_of(s.first, s.second); }
