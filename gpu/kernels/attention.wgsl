// attention: flash attention over block tables, one workgroup a (row, head): online softmax over chunks of 64 keys, a thread a key for the scores,
// a thread two dimensions for the values. Correct everywhere; attention_decode.wgsl is the fast one for few rows.
// Twin: wasm/model/src/ops/attention.rs. Source: Milakov and Gimelshein 2018, arXiv:1805.02867.
override heads: u32;
override kv_heads: u32;
override head_dim: u32;
override window: u32;
override block_size: u32;
override slots_in_cache: u32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> row_context: array<vec2<u32>>; // [rows] sequence, visible keys
@group(0) @binding(2) var<storage, read> block_tables: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<f32>;
@group(0) @binding(4) var<storage, read> cache: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

var<workgroup> query: array<f32, 256>;   // head_dim <= 256
var<workgroup> weights: array<f32, 64>;
var<workgroup> reduced: array<f32, 64>;
var<workgroup> pairs_at: array<u32, 64>; // first pair of each key of the chunk

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let head = group.y;
  let kv = kv_heads * head_dim;
  let kv_head = head * kv_heads / heads;
  let stride = heads * head_dim + 2u * kv;
  let pairs = head_dim / 2u;
  let sequence = row_context[row].x;
  let visible = row_context[row].y;
  let first = select(0u, visible - window, window > 0u && visible > window);
  let scale = inverseSqrt(f32(head_dim));
  for (var i = thread; i < head_dim; i += 64u) { query[i] = qkv[row * stride + head * head_dim + i] * scale; }
  var value_a = vec2<f32>(0.0);
  var value_b = vec2<f32>(0.0);
  var total = 0.0;
  var largest = -3.4e38;
  for (var start = first; start < visible; start += 64u) {
    let position = start + thread;
    var score = -3.4e38;
    workgroupBarrier();
    if (position < visible) {
      let slot = block_tables[sequence * batch.blocks_per_sequence + position / block_size] * block_size + position % block_size;
      let at = (slot * kv + kv_head * head_dim) / 2u;
      pairs_at[thread] = at;
      var dot = 0.0;
      for (var i = 0u; i < pairs; i++) {
        let k = cache_load(at + i);
        dot += query[2u * i] * k.x + query[2u * i + 1u] * k.y;
      }
      score = dot;
    }
    reduced[thread] = score;
    for (var half = 32u; half > 0u; half >>= 1u) {
      workgroupBarrier();
      if (thread < half) { reduced[thread] = max(reduced[thread], reduced[thread + half]); }
    }
    workgroupBarrier();
    let now = max(largest, reduced[0]);
    let weight = select(0.0, exp(score - now), position < visible);
    weights[thread] = weight;
    let rescale = exp(largest - now);
    largest = now;
    workgroupBarrier();
    let count = min(64u, visible - start);
    value_a *= rescale;
    value_b *= rescale;
    total *= rescale;
    for (var t = 0u; t < count; t++) {
      let w = weights[t];
      let v = slots_in_cache * kv / 2u + pairs_at[t];
      total += w;
      if (thread < pairs) { value_a += w * cache_load(v + thread); }
      if (thread + 64u < pairs) { value_b += w * cache_load(v + thread + 64u); }
    }
  }
  let base = row * heads * head_dim + head * head_dim;
  if (thread < pairs) {
    out[base + 2u * thread] = value_a.x / total;
    out[base + 2u * thread + 1u] = value_a.y / total;
  }
  if (thread + 64u < pairs) {
    out[base + 2u * thread + 128u] = value_b.x / total;
    out[base + 2u * thread + 129u] = value_b.y / total;
  }
}
