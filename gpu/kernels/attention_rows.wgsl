// attention for single rows (decode) over block tables: a workgroup takes one row, some heads of a KV group and one slice of the context, 64 keys at a time.
// Keys are staged as stored; a thread makes the score of one key for one head, then two or four dimensions of that head's values. With several slices the
// partial results go to `partial` and attention_combine.wgsl joins them. head_dim a multiple of 8 up to 256. Twin: wasm/model/src/ops/attention.rs.
// Source: Milakov and Gimelshein 2018, arXiv:1805.02867; split over the context as in Flash-Decoding (Dao et al. 2023).
override heads: u32;
override kv_heads: u32;
override head_dim: u32;
override window: u32;
override block_size: u32;
override slots_in_cache: u32;
override together: u32; // heads of a workgroup, all of one KV head
override threads: u32;  // 64 * together
override key_units: u32;   // 16-byte units of a key in workgroup memory: one more than it has, so that neighbouring keys lie on different banks
override query_size: u32;  // together * head_dim / 4
override keys_size: u32;   // 64 * key_units
override weights_size: u32; // together * 16

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> row_context: array<vec2<u32>>; // [rows] sequence, visible keys
@group(0) @binding(2) var<storage, read> block_tables: array<u32>;
@group(0) @binding(3) var<storage, read> singles: array<u32>;           // the rows
@group(0) @binding(4) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> cache: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<storage, read_write> partial: array<f32>;     // [single][head][slice][head_dim values, largest score, sum of weights]

var<workgroup> query: array<vec4<f32>, query_size>;
var<workgroup> keys: array<vec4<u32>, keys_size>;
var<workgroup> weights: array<vec4<f32>, weights_size>; // [head][key / 4]
var<workgroup> places: array<u32, 64>;                    // where each key lies, in groups of eight values

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = singles[group.x];
  let head0 = group.y * together;
  let lane = thread & 63u;
  let h = thread >> 6u;
  let kv = kv_heads * head_dim;
  let sequence = row_context[row].x;
  let visible = row_context[row].y;
  let first = select(0u, visible - window, window > 0u && visible > window);
  let span = ((visible - first + batch.slices - 1u) / batch.slices + 63u) & ~63u;
  let begin = min(first + group.z * span, visible);
  let end = min(begin + span, visible);
  let row_units = head_dim / 8u * eight_units;
  let scale = inverseSqrt(f32(head_dim)) * 1.44269504; // weights are powers of two
  for (var i = thread; i < together * head_dim / 4u; i += threads) {
    query[i] = qkv[(row * (heads * head_dim + 2u * kv) + head0 * head_dim) / 4u + i] * scale;
  }
  var value_a = vec2<f32>(0.0);
  var value_b = vec2<f32>(0.0);
  var total = 0.0;
  var largest = -3.4e38;
  for (var start = begin; start < end; start += 64u) {
    workgroupBarrier();
    if (thread < 64u) {
      let position = min(start + thread, end - 1u);
      let slot = block_tables[sequence * batch.blocks_per_sequence + position / block_size] * block_size + position % block_size;
      places[thread] = (slot * kv + head0 * kv_heads / heads * head_dim) / 8u;
    }
    workgroupBarrier();
    for (var i = thread; i < 64u * row_units; i += threads) {
      let key = i / row_units;
      keys[key * key_units + i % row_units] = cache[places[key] * eight_units + i % row_units];
    }
    workgroupBarrier();
    var dots = vec4<f32>(0.0);
    for (var i = 0u; i < head_dim / 8u; i++) {
      let at = lane * key_units + i * eight_units;
      let k = eight_of(keys[at], keys[at + eight_units - 1u]);
      dots += query[h * (head_dim / 4u) + 2u * i] * k.low + query[h * (head_dim / 4u) + 2u * i + 1u] * k.high;
    }
    let score = select(-3.4e38, dots.x + dots.y + dots.z + dots.w, start + lane < end);
    weights[thread >> 2u][thread & 3u] = score;
    workgroupBarrier();
    var most = vec4<f32>(largest);
    for (var i = 0u; i < 16u; i += 4u) {
      let at = h * 16u + i;
      most = max(max(max(most, weights[at]), max(weights[at + 1u], weights[at + 2u])), weights[at + 3u]);
    }
    let now = max(max(most.x, most.y), max(most.z, most.w));
    let rescale = exp2(largest - now);
    let weight = exp2(score - now);
    largest = now;
    value_a *= rescale;
    value_b *= rescale;
    total = total * rescale + weight;
    workgroupBarrier();
    weights[thread >> 2u][thread & 3u] = weight;
    workgroupBarrier();
    if (2u * lane < head_dim) {
      for (var t = 0u; t < 16u; t++) {
        let w = weights[h * 16u + t];
        let v0 = value_place(4u * t);
        let v1 = value_place(4u * t + 1u);
        let v2 = value_place(4u * t + 2u);
        let v3 = value_place(4u * t + 3u);
        value_a += w.x * pair_at(v0, lane) + w.y * pair_at(v1, lane) + w.z * pair_at(v2, lane) + w.w * pair_at(v3, lane);
        if (head_dim > 128u && 2u * lane + 128u < head_dim) {
          value_b += w.x * pair_at(v0, lane + 64u) + w.y * pair_at(v1, lane + 64u) + w.z * pair_at(v2, lane + 64u) + w.w * pair_at(v3, lane + 64u);
        }
      }
    }
  }
  workgroupBarrier();
  weights[thread >> 2u][thread & 3u] = total;
  workgroupBarrier();
  var sums = vec4<f32>(0.0);
  for (var i = 0u; i < 16u; i++) { sums += weights[h * 16u + i]; }
  let sum = sums.x + sums.y + sums.z + sums.w;
  if (batch.slices == 1u) {
    let base = (row * heads + head0 + h) * head_dim;
    leave(false, base, lane, value_a / sum, value_b / sum);
  } else {
    let base = ((group.x * heads + head0 + h) * batch.slices + group.z) * (head_dim + 2u);
    leave(true, base, lane, value_a, value_b);
    if (lane == 0u) {
      partial[base + head_dim] = largest;
      partial[base + head_dim + 1u] = sum;
    }
  }
}

fn value_place(t: u32) -> u32 { return places[t] + slots_in_cache * kv_heads * head_dim / 8u; }

fn leave(part: bool, base: u32, lane: u32, a: vec2<f32>, b: vec2<f32>) {
  let at = base + 2u * lane;
  if (2u * lane < head_dim) {
    if (part) {
      partial[at] = a.x;
      partial[at + 1u] = a.y;
    } else {
      out[at] = a.x;
      out[at + 1u] = a.y;
    }
  }
  if (2u * lane + 128u < head_dim) {
    if (part) {
      partial[at + 128u] = b.x;
      partial[at + 129u] = b.y;
    } else {
      out[at + 128u] = b.x;
      out[at + 129u] = b.y;
    }
  }
}
