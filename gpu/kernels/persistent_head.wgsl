// The beginning and the end of a token: its embedding, the head's logits, the greatest of them, and the state of the next token. Names that end in _T and _H are
// what belongs to the embedding table and to the head.
override table_at: u32;
override table_scale_at: u32;
override head_at: u32;
override head_scale_at: u32;
override vocab: u32;

fn begin() {
  position = state.position;
  epoch = state.dispatches * (last_layer + 2u) + 1u; // one for each layer, one for the head
  slot = slot_of(position);
  turn = turn_of(32u * wg + lane);
  if (own_group() < hidden / 16u) {
    residual = embedded_T(table_at, table_scale_at, state.token, 16u * own_group() + (lane & 15u), hidden / 32u);
    emit_residual(norm_weight(first_norm_at), 0u);
  }
}

// Groups of 32 logits; each subgroup in turn adds the slices up and remembers the best it saw.
fn head() {
  let pairs = hidden / 64u;
  let steps = full_steps_H(pairs);
  let total = share((vocab + 31u) / 32u, wg) * steps;
  let base = vec2<u32>(head_at);
  let scale = vec2<u32>(head_scale_at);
  var best = -3.4e38;
  var best_row = 0xffffffffu;
  if (total > 0u) {
    var now = full_at_H(0u, base, scale, false, wg, pairs, steps);
    stage(0u, 4u * pairs, true);
    var sum = 0.0;
    for (var i = 0u; i < total;) {
      let round = i / steps;
      i += 1u;
      var next = now;
      if (i < total) { next = full_at_H(i, base, scale, false, wg, pairs, steps); }
      sum += dot_full_H(now);
      if (i % steps == 0u) {
        partial[(round & 1u) * threads + thread] = sum;
        sum = 0.0;
        workgroupBarrier();
        let row = 32u * (wg + round * workgroups) + lane;
        if (slice == (round & 15u) && row < vocab) {
          let logit = over_slices(round & 1u) * inverse_rms();
          logits[row] = logit;
          if (logit > best) {
            best = logit;
            best_row = row;
          }
        }
      }
      now = next;
    }
  }
  finish(best, best_row);
}

// The lowest row among the greatest values of a subgroup.
fn best_of(value: f32, row: u32) -> vec2<u32> {
  let most = subgroupMax(value);
  return vec2<u32>(bitcast<u32>(most), subgroupMin(select(0xffffffffu, row, value == most)));
}

// The first workgroup learns of everybody's best and leaves everything as the next dispatch wants to find it.
fn finish(value: f32, row: u32) {
  let mine = best_of(value, row);
  workgroupBarrier();
  if (lane == 0u) { staged[slice] = vec4<u32>(mine, 0u, 0u); }
  workgroupBarrier();
  if (slice == 0u) {
    let all = best_of(bitcast<f32>(staged[lane & 15u].x), staged[lane & 15u].y);
    if (lane == 0u) { mail[best_at() + wg] = vec4<u32>(all, 0u, epoch); }
  }
  if (wg == 0u && slice == 0u) {
    var best = -3.4e38;
    var best_row = 0xffffffffu;
    for (var i = lane; i < workgroups; i += 32u) {
      var other = mail[best_at() + i];
      for (var spins = 1u; other.w != epoch; spins++) {
        if (in_vain(spins)) { break; }
        other = mail[best_at() + i];
      }
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
      state.dispatches += 1u;
    }
  }
}

@compute @workgroup_size(512)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  wg = group.x;
  thread = index;
  lane = index & 31u;
  slice = index >> 5u;
  if (state.stuck != 0u) { return; } // a token before this one waited in vain
  stage_code();
  begin();
  var info = layer_info[0];
  for (var l = 0u; l <= last_layer; l++) {
    let next = layer_info[min(l + 1u, last_layer)]; // asked for a layer ahead
    layer(info);
    info = next;
  }
  head();
}
