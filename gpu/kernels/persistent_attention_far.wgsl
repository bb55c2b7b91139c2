// Attention of one row over a long context, for 4 query heads a KV head: as persistent_attention.wgsl, but a subgroup works for all 4 query heads, so that each
// key and value is read once; coherent reads do not stay in the first-level cache. 16 lanes of 8 values read one key, a subgroup two keys at once.
// Scores of the 4 heads are summed over the 16 lanes by halving: after two exchanges a lane is left with one head, lanes 4 h .. 4 h + 3 with head h.

struct Four { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

// Sums over 16 lanes of the scores of 4 heads: lane 4 h + i of each half gets head h's.
fn score_of(partials: vec4<f32>) -> f32 {
  let upper8 = (lane & 8u) != 0u;
  let upper4 = (lane & 4u) != 0u;
  let given = select(partials.zw, partials.xy, upper8);
  let kept = select(partials.xy, partials.zw, upper8) + vec2<f32>(subgroupShuffleXor(given.x, 8u), subgroupShuffleXor(given.y, 8u));
  var score = select(kept.x, kept.y, upper4) + subgroupShuffleXor(select(kept.y, kept.x, upper4), 4u);
  score += subgroupShuffleXor(score, 2u);
  score += subgroupShuffleXor(score, 1u);
  return score;
}
// A value that lane 4 h of this half holds for head h, for all heads.
fn of_heads(value: f32) -> vec4<f32> {
  let half = lane & 16u;
  return vec4<f32>(subgroupShuffle(value, half), subgroupShuffle(value, half | 4u), subgroupShuffle(value, half | 8u), subgroupShuffle(value, half | 12u));
}

fn attend_L(cache_at: u32, window: u32) {
  let kv_head = wg / context_slices;
  if (kv_head >= kv_heads) { return; }
  let visible = position + 1u;
  let first_key = select(0u, visible - window, window > 0u && visible > window);
  let keys = visible - first_key;
  let part_of_context = wg % context_slices;
  let each = (keys + context_slices - 1u) / context_slices;
  let start = first_key + min(part_of_context * each, keys);
  let end = min(start + each, visible);
  let unit = lane & 15u;
  let here = cache_at + kv_head * (head_dim / 8u) + unit;
  let row = kv_heads * head_dim / 8u;
  // A turn takes 32 keys, two of each subgroup; the next turn's are loaded before this one's are used.
  var p = start + 2u * slice + (lane >> 4u);
  var at = here + slot_of(min(p, position)) * row;
  var k = cache_L[at];
  var v = cache_L[at + value_plane];
  stage_query(kv_head, kv_head, end == visible);
  let qa = query(0u, unit);
  let qb = query(1u, unit);
  let qc = query(2u, unit);
  let qd = query(3u, unit);
  var even = Four();
  var odd = Four();
  var most = -1e30;
  var total = 0.0;
  let turns = (end - start + 31u) / 32u;
  for (var t = 0u; t < turns; t++) {
    let valid = p < end;
    if (valid && p == position) { // this token's own, which is not in the cache for sure
      k = cached(eight(4u, unit));
      v = cached(eight(5u, unit));
    }
    let k_even = even_values(k);
    let k_odd = odd_values(k);
    let v_even = even_values(v);
    let v_odd = odd_values(v);
    p += 32u;
    at = here + slot_of(min(p, position)) * row;
    k = cache_L[at];
    v = cache_L[at + value_plane];
    var score = score_of(vec4<f32>(
      dot(qa.even, k_even) + dot(qa.odd, k_odd),
      dot(qb.even, k_even) + dot(qb.odd, k_odd),
      dot(qc.even, k_even) + dot(qc.odd, k_odd),
      dot(qd.even, k_even) + dot(qd.odd, k_odd),
    ));
    score = select(-1e30, score, valid);
    let now = max(most, score);
    let keep_one = exp(most - now);
    let weight_one = select(0.0, exp(score - now), valid);
    most = now;
    total = total * keep_one + weight_one;
    let keep = of_heads(keep_one);
    let weight = of_heads(weight_one);
    even.a = even.a * keep.x + weight.x * v_even;
    odd.a = odd.a * keep.x + weight.x * v_odd;
    even.b = even.b * keep.y + weight.y * v_even;
    odd.b = odd.b * keep.y + weight.y * v_odd;
    even.c = even.c * keep.z + weight.z * v_even;
    odd.c = odd.c * keep.z + weight.z * v_odd;
    even.d = even.d * keep.w + weight.w * v_even;
    odd.d = odd.d * keep.w + weight.w * v_odd;
  }
  // The two halves of the subgroup become one.
  let now = max(most, subgroupShuffleXor(most, 16u));
  let keep_one = exp(most - now);
  most = now;
  total = total * keep_one;
  total += subgroupShuffleXor(total, 16u);
  let keep = of_heads(keep_one);
  even = Four(even.a * keep.x, even.b * keep.y, even.c * keep.z, even.d * keep.w);
  odd = Four(odd.a * keep.x, odd.b * keep.y, odd.c * keep.z, odd.d * keep.w);
  even = Four(even.a + subgroupShuffleXor(even.a, 16u), even.b + subgroupShuffleXor(even.b, 16u), even.c + subgroupShuffleXor(even.c, 16u), even.d + subgroupShuffleXor(even.d, 16u));
  odd = Four(odd.a + subgroupShuffleXor(odd.a, 16u), odd.b + subgroupShuffleXor(odd.b, 16u), odd.c + subgroupShuffleXor(odd.c, 16u), odd.d + subgroupShuffleXor(odd.d, 16u));
  // One head after the other, for workgroup memory has room for one.
  leave_head(kv_head * 4u, 0u, part_of_context, most, total, even.a, odd.a);
  leave_head(kv_head * 4u + 1u, 4u, part_of_context, most, total, even.b, odd.b);
  leave_head(kv_head * 4u + 2u, 8u, part_of_context, most, total, even.c, odd.c);
  leave_head(kv_head * 4u + 3u, 12u, part_of_context, most, total, even.d, odd.d);
  combine(kv_head, part_of_context);
}

// Joins the subgroups' values of one head; `holder` is the lane that holds its largest score and its sum.
fn leave_head(head: u32, holder: u32, part: u32, most: f32, total: f32, even: vec4<f32>, odd: vec4<f32>) {
  workgroupBarrier();
  leave_values(holder, most, total, even, odd);
  workgroupBarrier();
  if (thread < head_dim) { leave_part(head, part, 0u, 1u, thread); }
}
