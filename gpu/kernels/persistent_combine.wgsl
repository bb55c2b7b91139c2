// What both ways of attention share: where keys lie, and how the context slices of a KV head become one.
override context_slices: u32; // a multiple of 8, at most workgroups / kv_heads

// Where a token's K and V lie.
fn slot_of(at: u32) -> u32 { return (block_table[at >> block_shift] << block_shift) + (at & ((1u << block_shift) - 1u)); }

// Where a context slice of a query head leaves its part: head_dim values, then the largest score and the sum of weights.
fn part_at(head: u32, part: u32) -> u32 { return partials_at() + (head * context_slices + part) * 132u; }

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
// for dimension d of a head, and leaves it as the head's part of this context slice.
fn leave_part(head: u32, part: u32, first: u32, step: u32, d: u32) {
  var most = -1e30;
  for (var s = first; s < slices; s += step) { most = max(most, partial[s]); }
  var total = 0.0;
  var sum = 0.0;
  for (var s = first; s < slices; s += step) {
    let e = exp(partial[s] - most);
    total += partial[16u + s] * e;
    sum += partial[64u + s * head_dim + d] * e;
  }
  let at = part_at(head, part);
  floats[(at + d) >> 2u][d & 3u] = sum;
  if (d == 0u) { floats[(at + head_dim) >> 2u] = vec4<f32>(most, total, 0.0, 0.0); }
}

// Largest score, sum of weights and value of one dimension of a part.
fn part_of(head: u32, part: u32, d: u32) -> vec3<f32> {
  let at = part_at(head, part);
  let ends = floats[(at + head_dim) >> 2u];
  return vec3<f32>(ends.x, ends.y, float_at(at + d));
}
fn joined(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
  let most = max(a.x, b.x);
  let ea = exp(a.x - most);
  let eb = exp(b.x - most);
  return vec3<f32>(most, a.y * ea + b.y * eb, a.z * ea + b.z * eb);
}

// The slice that finishes last joins all parts of its KV head's query heads, 8 at a time, and gives them to the output projection.
fn combine(kv_head: u32) {
  storageBarrier();
  workgroupBarrier();
  if (thread == 0u && kv_head < kv_heads) { order = atomicAdd(&counters[16u + kv_head], 1u); }
  workgroupBarrier();
  if (kv_head >= kv_heads || order != context_slices - 1u) { return; }
  let values = heads / kv_heads * head_dim;
  for (var i = thread; i < values; i += threads) {
    let head = (kv_head * values + i) / head_dim;
    let d = i % head_dim;
    var all = vec3<f32>(-1e30, 0.0, 0.0);
    for (var s = 0u; s < context_slices; s += 8u) {
      let a = joined(joined(part_of(head, s, d), part_of(head, s + 1u, d)), joined(part_of(head, s + 2u, d), part_of(head, s + 3u, d)));
      let b = joined(joined(part_of(head, s + 4u, d), part_of(head, s + 5u, d)), joined(part_of(head, s + 6u, d), part_of(head, s + 7u, d)));
      all = joined(all, joined(a, b));
    }
    emit(all.z / all.y, attended_slot() + (kv_head * values + i) / 16u, true);
  }
  if (thread == 0u) { atomicStore(&counters[16u + kv_head], 0u); }
}
