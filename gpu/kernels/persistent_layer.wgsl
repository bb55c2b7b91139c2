// A layer. Names that end in _L are stamped once a kind of layers; those that end in _QK, _V, _O, _GU, _D are what multiplies with q and k, with v, o, gate and
// up, down. NAME_at_L and NAME_words_L are where these lie from the layer's q on, in units of 16 bytes and words of scales.

struct Layer {
  q_at: u32,         // units of 16 bytes
  q_words: u32,      // words of scales
  cache_at: u32,     // units of 16 bytes
  window: u32,       // tokens, 0: all
  rotary: u32,
  kind: u32,
  post_norm_at: u32, // in `vectors`
  next_norm_at: u32, // of the next layer, or the last norm
}
@group(0) @binding(9) var<storage, read> layer_info: array<Layer>;

fn layer_L(info: Layer) {
  let h_pairs = hidden / 64u;
  let qk_groups = (heads + kv_heads) * head_dim / 32u;
  let qk_rounds = share(qk_groups, wg);
  let v_own = (wg + workgroups - qk_groups % workgroups) % workgroups; // who is the first without a group of q and k gets the first of v
  let v_rounds = share(kv_heads * head_dim / 32u, v_own);
  let f_rounds = share(intermediate / 32u, wg);
  let h_rounds = share(hidden / 16u, wg);
  let post_norm = norm_weight(info.post_norm_at);
  let next_norm = norm_weight(info.next_norm_at);

  // Who has nothing to do in a phase does not even wait for its input.
  if (qk_rounds > 0u) {
    sweep_full_QK(vec2<u32>(info.q_at), vec2<u32>(info.q_words), false, wg, qk_rounds, h_pairs, 0u, 0u);
    for (var r = 0u; r < qk_rounds; r++) {
      if (slice == r) { emit_qkv_L(over_slices(r) * inverse_rms(), 32u * (wg + r * workgroups) + lane, r, info.rotary == 1u, info.cache_at); }
    }
  }
  if (v_rounds > 0u) {
    sweep_full_V(vec2<u32>(info.q_at + v_at_L), vec2<u32>(info.q_words + v_words_L), false, v_own, v_rounds, h_pairs, 0u, qk_rounds);
    for (var r = 0u; r < v_rounds; r++) {
      if (slice == qk_rounds + r) {
        emit_qkv_L(over_slices(qk_rounds + r) * inverse_rms(), 32u * (qk_groups + v_own + r * workgroups) + lane, r, false, info.cache_at);
      }
    }
  }

  attend_L(info.cache_at, info.window);

  if (h_rounds > 0u) {
    sweep_half_O(info.q_at + o_at_L, info.q_words + o_words_L, h_rounds, heads * head_dim / 64u, attended_slot());
    add(post_norm, normed_slot());
  }

  if (f_rounds > 0u) {
    sweep_full_GU(info.q_at + vec2<u32>(gate_at_L, up_at_L), info.q_words + vec2<u32>(gate_words_L, up_words_L), true, wg, 2u * f_rounds, h_pairs, normed_slot(), 0u);
    for (var r = 0u; r < f_rounds; r++) {
      if (slice == r) {
        let gate = over_slices(2u * r) * inverse_rms();
        let up = over_slices(2u * r + 1u) * inverse_rms();
        emit(gate / (1.0 + exp(-gate)) * up, 0.0, gated_slot() + 2u * (wg + r * workgroups) + (lane >> 4u), true);
      }
    }
  }

  if (h_rounds > 0u) { sweep_half_D(info.q_at + down_at_L, info.q_words + down_words_L, h_rounds, intermediate / 64u, gated_slot()); }
  epoch += 1u;
  if (h_rounds > 0u) { add(next_norm, 0u); }
}

// Adds the sums of 16-row groups to the residual; the upper lanes hold the odd blocks' share.
fn add(norm: f32, input: u32) {
  if (own_group() < hidden / 16u) {
    let value = over_slices(slice);
    residual += value + subgroupShuffleXor(value, 16u);
    emit_residual(norm, input);
  }
}

// Output `row` of qkv: q and k are rotated; all go to the attention, k and v also into the cache. Neighbouring lanes rotate with each other.
fn emit_qkv_L(value: f32, row: u32, round: u32, rope: bool, cache_at: u32) {
  let other = subgroupShuffleXor(value, 1u);
  let odd = (lane & 1u) == 1u;
  var turned = value;
  if (rope && row < (heads + kv_heads) * head_dim) {
    var t = turn;
    if (round > 0u) { t = turn_of(row); }
    turned = value * t.x + select(-other, other, odd) * t.y;
  }
  let neighbour = subgroupShuffleXor(turned, 1u);
  if (odd) { return; }
  mail[qkv_at() + row / 2u] = vec4<u32>(bitcast<u32>(turned), epoch, bitcast<u32>(neighbour), epoch);
  if (row >= heads * head_dim) {
    let k = row - heads * head_dim;
    let kv = kv_heads * head_dim;
    let value_half = k >= kv;
    let word = slot * (kv / 2u) + (k - select(0u, kv, value_half)) / 2u;
    cache_L[(cache_at + select(0u, value_plane, value_half)) + word / 4u][word & 3u] = cache_pair(vec2<f32>(turned, neighbour));
  }
}

// cos and sin of the angle by which row `row` of q and k is turned for this token.
fn turn_of(row: u32) -> vec2<f32> {
  let at = state.step * head_dim + (row % head_dim) / 2u;
  return vec2<f32>(angles[at], angles[at + head_dim / 2u]);
}
