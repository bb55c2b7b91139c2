// Attention of one row, split over the context: workgroup = (KV head, context slice); its 16 subgroups are query heads x parts of the slice; 16 lanes of 8
// values read one key, two keys at once. The slice of a KV head that finishes last combines all of them, so that no further grid barrier is needed.
override max_slices: u32; // workgroups / kv_heads

fn attend_W(layer: u32, cache_at: u32, window: u32) {
  let group_heads = heads / kv_heads; // query heads of a KV head: 1, 2, 4, 8 or 16
  let parts = slices / group_heads;
  let visible = state.position + 1u;
  let first_key = select(0u, visible - window, window > 0u && visible > window);
  let keys = visible - first_key;
  let count = clamp((keys + 31u) / 32u, 1u, max_slices); // context slices
  let kv_head = wg / count;
  let part_of_context = wg % count;
  let on = kv_head < kv_heads;
  let each = (keys + count - 1u) / count;
  let start = first_key + min(part_of_context * each, keys);
  let end = min(start + each, visible);
  let head = kv_head * group_heads + slice % group_heads;
  let part = slice / group_heads;
  let unit = lane & 15u;
  let step = 2u * parts;
  arrive();
  wait();
  if (on) {
    let q_at = hidden + head * head_dim + unit * 8u;
    let scale = 0.08838834764; // 1 / sqrt(head_dim)
    let q_even = vec4<f32>(floats[q_at], floats[q_at + 2u], floats[q_at + 4u], floats[q_at + 6u]) * scale;
    let q_odd = vec4<f32>(floats[q_at + 1u], floats[q_at + 3u], floats[q_at + 5u], floats[q_at + 7u]) * scale;
    var most = -1e30;
    var total = 0.0;
    var even = vec4<f32>(0.0);
    var odd = vec4<f32>(0.0);
    var p = start + 2u * part + (lane >> 4u);
    var at = key_unit(min(p, visible - 1u), kv_head, cache_at) + unit;
    var k = cache_W[at];
    var v = cache_W[at + value_plane];
    // Both halves of a subgroup take the same number of turns.
    let turns = select(0u, (end - start + step - 1u - min(2u * part, end - start)) / step, end > start);
    for (var t = 0u; t < turns; t++) {
      let valid = p < end;
      let key = k;
      let value = v;
      p += step;
      at = key_unit(min(p, visible - 1u), kv_head, cache_at) + unit;
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
    if (lane == 0u) {
      partial[slice] = now;
      partial[16u + slice] = total;
    }
    if (lane < 16u) {
      let b = 64u + slice * head_dim + unit * 8u;
      partial[b] = even.x;
      partial[b + 2u] = even.y;
      partial[b + 4u] = even.z;
      partial[b + 6u] = even.w;
      partial[b + 1u] = odd.x;
      partial[b + 3u] = odd.y;
      partial[b + 5u] = odd.z;
      partial[b + 7u] = odd.w;
    }
  }
  workgroupBarrier();
  if (on) {
    for (var i = thread; i < group_heads * head_dim; i += threads) {
      let h = i / head_dim;
      let d = i % head_dim;
      var most = -1e30;
      for (var s = h; s < slices; s += group_heads) { most = max(most, partial[s]); }
      var total = 0.0;
      var sum = 0.0;
      for (var s = h; s < slices; s += group_heads) {
        let e = exp(partial[s] - most);
        total += partial[16u + s] * e;
        sum += partial[64u + s * head_dim + d] * e;
      }
      let b = partials_at() + ((kv_head * group_heads + h) * max_slices + part_of_context) * 132u;
      floats[b + d] = sum;
      if (d == 0u) {
        floats[b + 128u] = most;
        floats[b + 129u] = total;
      }
    }
  }
  storageBarrier();
  workgroupBarrier();
  if (thread == 0u && on) { order = atomicAdd(&counters[16u + kv_head], 1u); }
  workgroupBarrier();
  if (on && order == count - 1u) {
    for (var i = thread; i < group_heads * head_dim; i += threads) {
      let d = i % head_dim;
      let b = partials_at() + (kv_head * group_heads + i / head_dim) * max_slices * 132u;
      var most = -1e30;
      for (var s = 0u; s < count; s++) { most = max(most, floats[b + s * 132u + 128u]); }
      var total = 0.0;
      var sum = 0.0;
      for (var s = 0u; s < count; s++) {
        let e = exp(floats[b + s * 132u + 128u] - most);
        total += floats[b + s * 132u + 129u] * e;
        sum += floats[b + s * 132u + d] * e;
      }
      emit(sum / total, attended_slot() + (kv_head * group_heads * head_dim + i) / 16u, true);
    }
    if (thread == 0u) { atomicStore(&counters[16u + kv_head], 0u); }
  }
}

// First unit of a key, found through the block table.
fn key_unit(position: u32, kv_head: u32, cache_at: u32) -> u32 {
  let slot = (block_table[position >> block_shift] << block_shift) + (position & ((1u << block_shift) - 1u));
  return cache_at + (slot * kv_heads + kv_head) * (head_dim / 8u);
}
