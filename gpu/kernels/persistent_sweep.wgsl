// Matrix times staged input. What a lane loads ahead (Full of 32-row groups, Half of 16-row groups) comes from persistent_ahead_*; the first load is issued
// between arriving at the barrier and waiting, because weights do not depend on it.

// Groups wg, wg + workgroups, ... of 32 rows over K = 64 * pairs; round r leaves its sums in partial[r * threads ..]. With `two` matrices (gate and up) the
// rounds alternate between them. base and scale: where each begins, in units of 16 bytes and words.
fn sweep_full_W(base: vec2<u32>, scale: vec2<u32>, two: bool, rounds: u32, groups: u32, pairs: u32, steps: u32, slot: u32, norm: bool) {
  let total = rounds * steps;
  arrive();
  var now = full_at_W(0u, base, scale, two, groups, pairs, steps);
  wait();
  stage(slot, 4u * pairs, norm);
  var sum = 0.0;
  for (var i = 0u; i < total;) {
    let round = i / steps;
    i += 1u;
    var next = now;
    if (i < total) { next = full_at_W(i, base, scale, two, groups, pairs, steps); }
    sum += dot_full(now);
    if (i % steps == 0u) {
      partial[round * threads + thread] = sum;
      sum = 0.0;
    }
    now = next;
  }
  if (norm) { normalize(); }
  workgroupBarrier();
}
fn full_at_W(i: u32, base: vec2<u32>, scale: vec2<u32>, two: bool, groups: u32, pairs: u32, steps: u32) -> Full {
  let round = i / steps;
  let second = two && (round & 1u) == 1u;
  let group = min(wg + select(round, round >> 1u, two) * workgroups, groups - 1u);
  return load_full_W(select(base.x, base.y, second), select(scale.x, scale.y, second), group * pairs, (i % steps) * full_ahead * slices + slice, pairs);
}

// Group wg of 16 rows over K = 64 * pairs: one round.
fn sweep_half_W(base: u32, scale: u32, groups: u32, pairs: u32, steps: u32, slot: u32) {
  let first = min(wg, groups - 1u) * pairs;
  arrive();
  var now = load_half_W(base, scale, first, slice, pairs);
  wait();
  stage(slot, 4u * pairs, false);
  var sum = 0.0;
  for (var i = 0u; i < steps;) {
    i += 1u;
    var next = now;
    if (i < steps) { next = load_half_W(base, scale, first, i * half_ahead * slices + slice, pairs); }
    sum += dot_half(now);
    now = next;
  }
  partial[thread] = sum;
  workgroupBarrier();
}
