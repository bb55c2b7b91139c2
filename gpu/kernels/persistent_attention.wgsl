// Attention of one row, split over the context: workgroup = (KV head, context slice); its 16 subgroups are query heads x parts of the slice; 16 lanes of 8
// values read one key, two keys at once. The slice of a KV head that finishes last combines all of them, so that no further grid barrier is needed.
fn attend_W(layer: u32, cache_at: u32, window: u32) {
  let group_heads = heads / kv_heads; // query heads of a KV head: 1, 2, 4, 8 or 16
  let parts = slices / group_heads;
  let visible = position + 1u;
  let first_key = select(0u, visible - window, window > 0u && visible > window);
  let keys = visible - first_key;
  let kv_head = wg / context_slices;
  let part_of_context = wg % context_slices;
  let on = kv_head < kv_heads;
  let each = (keys + context_slices - 1u) / context_slices;
  let start = first_key + min(part_of_context * each, keys);
  let end = min(start + each, visible);
  let head = kv_head * group_heads + slice % group_heads;
  let part = slice / group_heads;
  let unit = lane & 15u;
  let step = 2u * parts;
  // The first key is asked for before the barrier unless it is the one that this token has just made.
  var p = start + 2u * part + (lane >> 4u);
  let here = cache_at + min(kv_head, kv_heads - 1u) * (head_dim / 8u) + unit;
  var at = here + slot_of(min(p, position)) * (kv_heads * head_dim / 8u);
  arrive();
  var k = cache_W[at];
  var v = cache_W[at + value_plane];
  wait();
  if (on) {
    if (p >= position) {
      k = cache_W[at];
      v = cache_W[at + value_plane];
    }
    let q_at = head * head_dim + unit * 8u;
    let scale = 0.08838834764; // 1 / sqrt(head_dim)
    let q0 = floats[q_at / 4u] * scale;
    let q1 = floats[q_at / 4u + 1u] * scale;
    let q_even = vec4<f32>(q0.x, q0.z, q1.x, q1.z);
    let q_odd = vec4<f32>(q0.y, q0.w, q1.y, q1.w);
    var most = -1e30;
    var total = 0.0;
    var even = vec4<f32>(0.0);
    var odd = vec4<f32>(0.0);
    // Both halves of a subgroup take the same number of turns.
    let turns = select(0u, (end - start + step - 1u - min(2u * part, end - start)) / step, end > start);
    for (var t = 0u; t < turns; t++) {
      let valid = p < end;
      let key = k;
      let value = v;
      p += step;
      at = here + slot_of(min(p, position)) * (kv_heads * head_dim / 8u);
      k = cache_W[at];
      v = cache_W[at + value_plane];
      var score = dot(q_even, even_values(key)) + dot(q_odd, odd_values(key));
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
      even = even * keep + weight * even_values(value);
      odd = odd * keep + weight * odd_values(value);
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
  }
  workgroupBarrier();
  if (on) {
    for (var i = thread; i < group_heads * head_dim; i += threads) { leave_part(kv_head * group_heads + i / head_dim, part_of_context, i / head_dim, group_heads, i % head_dim); }
  }
  combine(kv_head);
}
