// Attention of one row, split over the context: workgroup = (group of query heads of one KV head, context slice); its 16 subgroups are query heads x parts of
// the slice; 16 lanes of 8 values read one key, two keys at once. Keys and values of earlier tokens do not depend on this one: the first three of each lane are
// asked for before waiting for q.
fn attend_L(cache_at: u32, window: u32) {
  let group = wg / context_slices;
  if (group >= heads / together) { return; }
  let parts = slices / together;
  let visible = position + 1u;
  let first_key = select(0u, visible - window, window > 0u && visible > window);
  let keys = visible - first_key;
  let kv_head = group * together / (heads / kv_heads);
  let part_of_context = wg % context_slices;
  let each = (keys + context_slices - 1u) / context_slices;
  let start = first_key + min(part_of_context * each, keys);
  let end = min(start + each, visible);
  let part = slice / together;
  let unit = lane & 15u;
  let step = 2u * parts;
  let row = kv_heads * head_dim / 8u;
  let here = cache_at + kv_head * (head_dim / 8u) + unit;
  var p = start + 2u * part + (lane >> 4u);
  var at = here + slot_of(min(p, position)) * row;
  var k = cache_L[at];
  var v = cache_L[at + value_plane];
  at = here + slot_of(min(p + step, position)) * row;
  var next_k = cache_L[at];
  var next_v = cache_L[at + value_plane];
  at = here + slot_of(min(p + 2u * step, position)) * row;
  var third_k = cache_L[at];
  var third_v = cache_L[at + value_plane];
  stage_query(group, kv_head, end == visible);
  let q = query(slice % together, unit);
  var most = -1e30;
  var total = 0.0;
  var even = vec4<f32>(0.0);
  var odd = vec4<f32>(0.0);
  // Both halves of a subgroup take the same number of turns.
  let turns = select(0u, (end - start + step - 1u - min(2u * part, end - start)) / step, end > start);
  for (var t = 0u; t < turns; t++) {
    let valid = p < end;
    if (valid && p == position) { // this token's own, which is not in the cache for sure
      k = cached(eight(together, unit));
      v = cached(eight(together + 1u, unit));
    }
    var score = dot(q.even, even_values(k)) + dot(q.odd, odd_values(k));
    score += subgroupShuffleXor(score, 1u);
    score += subgroupShuffleXor(score, 2u);
    score += subgroupShuffleXor(score, 4u);
    score += subgroupShuffleXor(score, 8u);
    score = select(-1e30, score, valid);
    let now = max(most, score);
    let keep = exp(most - now);
    let weight = select(0.0, exp(score - now), valid);
    most = now;
    total = total * keep + weight;
    even = even * keep + weight * even_values(v);
    odd = odd * keep + weight * odd_values(v);
    p += step;
    k = next_k;
    v = next_v;
    next_k = third_k;
    next_v = third_v;
    at = here + slot_of(min(p + 2u * step, position)) * row;
    third_k = cache_L[at];
    third_v = cache_L[at + value_plane];
  }
  let now = max(most, subgroupShuffleXor(most, 16u));
  let keep = exp(most - now);
  total *= keep;
  even *= keep;
  odd *= keep;
  total += subgroupShuffleXor(total, 16u);
  even += subgroupShuffleXor(even, 16u);
  odd += subgroupShuffleXor(odd, 16u);
  leave_values(0u, now, total, even, odd);
  workgroupBarrier();
  for (var i = thread; i < together * head_dim; i += threads) { leave_part(group * together + i / head_dim, part_of_context, i / head_dim, together, i % head_dim); }
  combine(group, part_of_context);
}
