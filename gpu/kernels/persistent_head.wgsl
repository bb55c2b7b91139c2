// The beginning and the end of a token: its embedding, the head's logits, the greatest of them, and the state of the next token.
override table_at: u32;
override table_scale_at: u32;
override head_at: u32;
override head_scale_at: u32;
override vocab: u32;

fn begin_W() {
  position = state.position;
  slot = slot_of(position);
  turn = turn_of(32u * wg + lane);
  if (slice == 0u && wg < hidden / 16u) {
    residual = embedded_W(table_at, table_scale_at, state.token, 16u * wg + (lane & 15u), hidden / 32u);
    emit_residual(norm_weight(input_norm_at), 0u);
  }
}

// Groups of 32 logits; each subgroup in turn adds the slices up and remembers the best it saw.
fn head_W() {
  let pairs = hidden / 64u;
  let groups = (vocab + 31u) / 32u;
  let steps = (pairs + full_ahead * slices - 1u) / (full_ahead * slices);
  let rounds = (groups + workgroups - 1u) / workgroups;
  let total = rounds * steps;
  let base = vec2<u32>(head_at);
  let scale = vec2<u32>(head_scale_at);
  var best = -3.4e38;
  var best_row = 0xffffffffu;
  arrive();
  var now = full_at_W(0u, base, scale, false, groups, pairs, steps);
  wait();
  stage(0u, 4u * pairs, true);
  var sum = 0.0;
  for (var i = 0u; i < total;) {
    let round = i / steps;
    i += 1u;
    var next = now;
    if (i < total) { next = full_at_W(i, base, scale, false, groups, pairs, steps); }
    sum += dot_full(now);
    if (i % steps == 0u) {
      partial[(round & 1u) * threads + thread] = sum;
      sum = 0.0;
      if (round == 0u) { normalize(); }
      workgroupBarrier();
      let row = 32u * (wg + round * workgroups) + lane;
      if (slice == (round & 15u) && row < vocab) {
        let logit = over_slices(round & 1u) * inverse_rms;
        logits[row] = logit;
        if (logit > best) {
          best = logit;
          best_row = row;
        }
      }
    }
    now = next;
  }
  finish(best, best_row);
}

// The lowest row among the greatest values of a subgroup.
fn best_of(value: f32, row: u32) -> vec2<u32> {
  let most = subgroupMax(value);
  return vec2<u32>(bitcast<u32>(most), subgroupMin(select(0xffffffffu, row, value == most)));
}

// The workgroup that finishes last knows the token; it leaves everything as the next dispatch wants to find it.
fn finish(value: f32, row: u32) {
  let mine = best_of(value, row);
  workgroupBarrier();
  if (lane == 0u) { staged[slice] = vec4<u32>(mine, 0u, 0u); }
  workgroupBarrier();
  if (slice == 0u) {
    let all = best_of(bitcast<f32>(staged[lane & 15u].x), staged[lane & 15u].y);
    if (lane == 0u) { act[best_slot() * slot_units + wg] = vec4<u32>(all, 0u, 0u); }
  }
  storageBarrier();
  workgroupBarrier();
  if (thread == 0u) { order = atomicAdd(&counters[1], 1u); }
  workgroupBarrier();
  if (order == workgroups - 1u && slice == 0u) {
    var best = -3.4e38;
    var best_row = 0xffffffffu;
    for (var i = lane; i < workgroups; i += 32u) {
      let other = act[best_slot() * slot_units + i];
      let found = bitcast<f32>(other.x);
      if (found > best || (found == best && other.y < best_row)) {
        best = found;
        best_row = other.y;
      }
    }
    let token = best_of(best, best_row).y;
    if (lane == 0u) {
      made[state.step] = token;
      state.token = token;
      state.position = position + 1u;
      state.step += 1u;
      atomicStore(&counters[0], 0u);
      atomicStore(&counters[1], 0u);
    }
  }
}
