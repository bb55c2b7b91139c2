// The layers of one segment. Offsets of a layer's matrices, units of 16 bytes and words of scales, from the layer's beginning.
override q_at: u32;
override q_scale_at: u32;
override o_at: u32;
override o_scale_at: u32;
override gate_at: u32;
override gate_scale_at: u32;
override up_at: u32;
override up_scale_at: u32;
override down_at: u32;
override down_scale_at: u32;
override layer_stride: u32;
override layer_scale_stride: u32;
override cache_stride: u32; // from one layer's cache to the next, units of 16 bytes
override last_layer: u32;

// rotary, window: bit l of word l / 32 and tokens of layer l, in `layer_info`.
@group(0) @binding(11) var<storage, read> layer_info: array<vec2<u32>>; // [layer] rope, window

fn layers_W(first: u32, count: u32, weights_at: u32, scales_at: u32, cache_at: u32) {
  let h_pairs = hidden / 64u;
  let f_pairs = intermediate / 64u;
  let o_pairs = heads * head_dim / 64u;
  let qkv_groups = (heads + 2u * kv_heads) * head_dim / 32u;
  let f_groups = intermediate / 32u;
  for (var l = 0u; l < count; l++) {
    let at = weights_at + l * layer_stride;
    let scale_at = scales_at + l * layer_scale_stride;
    let layer = first + l;
    let info = layer_info[layer];
    let post_norm = norm_weight(post_norm_at + layer * norm_stride);
    let next_norm = norm_weight(select(input_norm_at + (layer + 1u) * norm_stride, final_norm_at, layer == last_layer));

    let qkv_rounds = (qkv_groups + workgroups - 1u) / workgroups;
    sweep_full_W(vec2<u32>(at + q_at), vec2<u32>(scale_at + q_scale_at), false, qkv_rounds, qkv_groups, h_pairs, (h_pairs + full_ahead * slices - 1u) / (full_ahead * slices), 0u, true);
    for (var r = 0u; r < qkv_rounds; r++) {
      let group = wg + r * workgroups;
      if (slice == r && group < qkv_groups) { emit_qkv_W(over_slices(r) * inverse_rms, 32u * group + lane, r, info.x == 1u, cache_at + l * cache_stride); }
    }

    attend_W(layer, cache_at + l * cache_stride, info.y);

    sweep_half_W(at + o_at, scale_at + o_scale_at, hidden / 16u, o_pairs, (o_pairs + half_ahead * slices - 1u) / (half_ahead * slices), attended_slot());
    add_W(post_norm, normed_slot());

    let f_rounds = 2u * ((f_groups + workgroups - 1u) / workgroups);
    sweep_full_W(vec2<u32>(at + gate_at, at + up_at), vec2<u32>(scale_at + gate_scale_at, scale_at + up_scale_at), true, f_rounds, f_groups, h_pairs,
      (h_pairs + full_ahead * slices - 1u) / (full_ahead * slices), normed_slot(), true);
    for (var r = 0u; 2u * r < f_rounds; r++) {
      let group = wg + r * workgroups;
      if (slice == r && group < f_groups) {
        let gate = over_slices(2u * r) * inverse_rms;
        let up = over_slices(2u * r + 1u) * inverse_rms;
        emit(gate / (1.0 + exp(-gate)) * up, gated_slot() + 2u * group + (lane >> 4u), true);
      }
    }

    sweep_half_W(at + down_at, scale_at + down_scale_at, hidden / 16u, f_pairs, (f_pairs + half_ahead * slices - 1u) / (half_ahead * slices), gated_slot());
    add_W(next_norm, 0u);
  }
}

// Adds the sums of a 16-row group to the residual; the upper lanes hold the odd blocks' share.
fn add_W(norm: f32, input: u32) {
  if (slice == 0u && wg < hidden / 16u) {
    let value = over_slices(0u);
    residual += value + subgroupShuffleXor(value, 16u);
    emit_residual(norm, input);
  }
}

// Output `row` of qkv: q is rotated and kept for the attention, k rotated and v plain go into the cache. Neighbouring lanes rotate with each other.
fn emit_qkv_W(value: f32, row: u32, round: u32, rope: bool, cache_at: u32) {
  let other = subgroupShuffleXor(value, 1u);
  let odd = (lane & 1u) == 1u;
  var turned = value;
  if (rope && row < (heads + kv_heads) * head_dim) {
    var t = turn;
    if (round > 0u) { t = turn_of(row); }
    turned = value * t.x + select(-other, other, odd) * t.y;
  }
  let neighbour = subgroupShuffleXor(turned, 1u);
  if (row < heads * head_dim) {
    floats[row >> 2u][row & 3u] = turned;
  } else if (!odd) {
    let k = row - heads * head_dim;
    let kv = kv_heads * head_dim;
    let value_half = k >= kv;
    let word = slot * (kv / 2u) + (k - select(0u, kv, value_half)) / 2u;
    cache_W[(cache_at + select(0u, value_plane, value_half)) + word / 4u][word & 3u] = cache_pair(vec2<f32>(turned, neighbour));
  }
}

// cos and sin of the angle by which row `row` of q and k is turned for this token.
fn turn_of(row: u32) -> vec2<f32> {
  let at = state.step * head_dim + (row % head_dim) / 2u;
  return vec2<f32>(angles[at], angles[at + head_dim / 2u]);
}
