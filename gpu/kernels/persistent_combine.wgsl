// What both ways of attention share: queries, where keys lie, and how the context slices of a head become one.
override together: u32;       // query heads of a workgroup
override context_slices: u32; // a multiple of 8, at most workgroups * together / heads

// Where a token's K and V lie.
fn slot_of(at: u32) -> u32 { return (block_table[at >> block_shift] << block_shift) + (at & ((1u << block_shift) - 1u)); }

// 8 values of a head, those of even dimensions and those of odd ones.
struct Eight { even: vec4<f32>, odd: vec4<f32> }

// Brings q of this workgroup's heads into workgroup memory, and if `own` this token's k and v, which are not in the cache for sure.
fn stage_query(group: u32, kv_head: u32, own: bool) {
  let queries = together * (head_dim / 2u);
  for (var i = thread; i < queries + select(0u, head_dim, own); i += threads) {
    let k = heads + kv_head + select(0u, kv_heads, i >= queries + head_dim / 2u);
    let at = qkv_at() + select(k * (head_dim / 2u) + (i - queries) % (head_dim / 2u), group * queries + i, i < queries);
    var letter = mail[at];
    for (var spins = 1u; letter.y != epoch || letter.w != epoch; spins++) {
      if (in_vain(spins)) { break; }
      letter = mail[at];
    }
    staged[(i >> 2u) * 2u][i & 3u] = letter.x;
    staged[(i >> 2u) * 2u + 1u][i & 3u] = letter.z;
  }
  workgroupBarrier();
}
// Values 8 * unit .. of what was staged as number `head`: the workgroup's heads, then k, then v.
fn eight(head: u32, unit: u32) -> Eight {
  let at = (head * (head_dim / 8u) + unit) * 2u;
  return Eight(bitcast<vec4<f32>>(staged[at]), bitcast<vec4<f32>>(staged[at + 1u]));
}
fn query(head: u32, unit: u32) -> Eight {
  let q = eight(head, unit);
  let scale = 0.08838834764; // 1 / sqrt(head_dim)
  return Eight(q.even * scale, q.odd * scale);
}
// As they lie in the cache.
fn cached(x: Eight) -> vec4<u32> {
  return vec4<u32>(
    cache_pair(vec2<f32>(x.even.x, x.odd.x)),
    cache_pair(vec2<f32>(x.even.y, x.odd.y)),
    cache_pair(vec2<f32>(x.even.z, x.odd.z)),
    cache_pair(vec2<f32>(x.even.w, x.odd.w)),
  );
}

// Leaves a subgroup's values of one head in `partial`, 8 of each of the lower 16 lanes; `holder` is a lane that has the head's largest score and its sum.
fn leave_values(holder: u32, most: f32, total: f32, even: vec4<f32>, odd: vec4<f32>) {
  if (lane == holder) {
    partial[slice] = most;
    partial[16u + slice] = total;
  }
  if (lane < 16u) {
    let b = 64u + slice * head_dim + lane * 8u;
    partial[b] = even.x;
    partial[b + 1u] = odd.x;
    partial[b + 2u] = even.y;
    partial[b + 3u] = odd.y;
    partial[b + 4u] = even.z;
    partial[b + 5u] = odd.z;
    partial[b + 6u] = even.w;
    partial[b + 7u] = odd.w;
  }
}

// Joins what subgroups first, first + step, ... of this workgroup left in `partial` ([slices] largest scores, [slices] sums, from 64 on [slices][head_dim] values)
// for dimension d of a head, and sends it as the head's part of this context slice: value, largest score, sum of weights. Lane s looks after subgroup s.
fn leave_part(head: u32, part: u32, first: u32, step: u32, d: u32) {
  let s = lane & 15u;
  let mine = select(-1e30, partial[s], s % step == first);
  let most = subgroupMax(mine);
  let e = select(0.0, exp(mine - most), s % step == first);
  let total = subgroupAdd(select(0.0, partial[16u + s] * e, lane < 16u));
  let at = 64u + d;
  var sum = 0.0;
  for (var i = 0u; i < 16u; i += 4u) {
    let first_at = at + i * head_dim;
    sum += (partial[first_at] * subgroupShuffle(e, i) + partial[first_at + head_dim] * subgroupShuffle(e, i + 1u)) +
      (partial[first_at + 2u * head_dim] * subgroupShuffle(e, i + 2u) + partial[first_at + 3u * head_dim] * subgroupShuffle(e, i + 3u));
  }
  mail[part_at(head, part) + d] = vec4<u32>(bitcast<u32>(sum), bitcast<u32>(most), bitcast<u32>(total), epoch);
}
fn part_at(head: u32, part: u32) -> u32 { return parts_at() + (head * context_slices + part) * head_dim; }

fn joined(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> { // value, largest score, sum of weights
  let most = max(a.y, b.y);
  let ea = exp(a.y - most);
  let eb = exp(b.y - most);
  return vec3<f32>(a.x * ea + b.x * eb, most, a.z * ea + b.z * eb);
}

// Each context slice joins all slices' parts of some slots of 16 dimensions and gives them to the output projection, a subgroup a slot; the halves of a
// subgroup share the slices.
fn combine(group: u32, part: u32) {
  let mine = part + context_slices * slice;
  if (mine >= together * (head_dim / 16u)) { return; }
  let input = group * together * (head_dim / 16u) + mine;
  let first_at = part_at(input / (head_dim / 16u), lane >> 4u) + (input % (head_dim / 16u)) * 16u + (lane & 15u);
  var all = vec3<f32>(0.0, -1e30, 0.0);
  for (var s = 0u; s < context_slices; s += 8u) {
    let at = first_at + s * head_dim;
    var a = mail[at];
    var b = mail[at + 2u * head_dim];
    var c = mail[at + 4u * head_dim];
    var d = mail[at + 6u * head_dim];
    for (var spins = 1u; a.w != epoch || b.w != epoch || c.w != epoch || d.w != epoch; spins++) {
      if (in_vain(spins)) { break; }
      a = mail[at];
      b = mail[at + 2u * head_dim];
      c = mail[at + 4u * head_dim];
      d = mail[at + 6u * head_dim];
    }
    all = joined(all, joined(joined(bitcast<vec3<f32>>(a.xyz), bitcast<vec3<f32>>(b.xyz)), joined(bitcast<vec3<f32>>(c.xyz), bitcast<vec3<f32>>(d.xyz))));
  }
  all = joined(all, vec3<f32>(subgroupShuffleXor(all.x, 16u), subgroupShuffleXor(all.y, 16u), subgroupShuffleXor(all.z, 16u)));
  emit(all.x / all.z, 0.0, attended_slot() + input, lane < 16u);
}
