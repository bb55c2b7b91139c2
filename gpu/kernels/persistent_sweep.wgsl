// Matrix times staged input. What a lane loads ahead (Full of 32-row groups, Half of 16-row groups) comes from persistent_ahead_*; the first load is issued
// before waiting for the input, because weights do not depend on it.

// Groups own, own + workgroups, ... of 32 rows over K = 64 * pairs, `rounds` of them; round r leaves its sums in partial[(first + r) * threads ..]. With `two`
// matrices (gate and up) the rounds alternate between them. base and scale: where each begins, in units of 16 bytes and words.
fn sweep_full_W(base: vec2<u32>, scale: vec2<u32>, two: bool, own: u32, rounds: u32, pairs: u32, slot: u32, first: u32) {
  let steps = full_steps_W(pairs);
  let total = rounds * steps;
  var now = full_at_W(0u, base, scale, two, own, pairs, steps);
  stage(slot, 4u * pairs, true);
  var sum = 0.0;
  for (var i = 0u; i < total;) {
    let round = i / steps;
    i += 1u;
    var next = now;
    if (i < total) { next = full_at_W(i, base, scale, two, own, pairs, steps); }
    sum += dot_full_W(now);
    if (i % steps == 0u) {
      partial[(first + round) * threads + thread] = sum;
      sum = 0.0;
    }
    now = next;
  }
  workgroupBarrier();
}
fn full_steps_W(pairs: u32) -> u32 { return (pairs + full_ahead_W * slices - 1u) / (full_ahead_W * slices); }
fn full_at_W(i: u32, base: vec2<u32>, scale: vec2<u32>, two: bool, own: u32, pairs: u32, steps: u32) -> Full_W {
  let round = i / steps;
  let second = two && (round & 1u) == 1u;
  let group = own + select(round, round >> 1u, two) * workgroups;
  return load_full_W(select(base.x, base.y, second), select(scale.x, scale.y, second), group, (i % steps) * full_ahead_W * slices + slice, pairs);
}
// How many of `groups` fall to the workgroup that begins with number `own`.
fn share(groups: u32, own: u32) -> u32 { return select(0u, (groups + workgroups - 1u - own) / workgroups, own < groups); }

// The same with groups of 16 rows and one matrix.
fn sweep_half_W(base: u32, scale: u32, rounds: u32, pairs: u32, slot: u32) {
  let steps = (pairs + half_ahead_W * slices - 1u) / (half_ahead_W * slices);
  let total = rounds * steps;
  var now = half_at_W(0u, base, scale, pairs, steps);
  stage(slot, 4u * pairs, false);
  var sum = 0.0;
  for (var i = 0u; i < total;) {
    let round = i / steps;
    i += 1u;
    var next = now;
    if (i < total) { next = half_at_W(i, base, scale, pairs, steps); }
    sum += dot_half_W(now);
    if (i % steps == 0u) {
      partial[round * threads + thread] = sum;
      sum = 0.0;
    }
    now = next;
  }
  workgroupBarrier();
}
fn half_at_W(i: u32, base: u32, scale: u32, pairs: u32, steps: u32) -> Half_W {
  return load_half_W(base, scale, wg + i / steps * workgroups, (i % steps) * half_ahead_W * slices + slice, pairs);
}
