// attention for single rows (decode) over block tables: a workgroup takes one row, up to four heads of a KV group and one slice of the context. A thread takes
// eight dimensions of every `key_lanes`-th key for all of its heads, so that a key and its value are read once, 16 bytes a thread; the four heads are the lanes of
// its vectors. Threads of a key lane share a running softmax; lanes are joined at the end, and slices, if there are several, by attention_combine.wgsl.
// head_dim a multiple of 8 up to 256. Twin: wasm/model/src/ops/attention.rs.
// Source: Milakov and Gimelshein 2018, arXiv:1805.02867; split over the context as in Flash-Decoding (Dao et al. 2023).
override heads: u32;
override kv_heads: u32;
override head_dim: u32;
override window: u32;
override block_size: u32;
override slots_in_cache: u32;
override together: u32;    // heads of a workgroup, all of one KV head
override key_lanes: u32;   // keys that are looked at together, times four
override dots_size: u32;   // 4 * key_lanes * (head_dim / 8 + 1)
override scores_size: u32; // 4 * key_lanes

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> row_context: array<vec2<u32>>; // [rows] sequence, visible keys
@group(0) @binding(2) var<storage, read> block_tables: array<u32>;
@group(0) @binding(3) var<storage, read> singles: array<u32>;           // the rows
@group(0) @binding(4) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> cache: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> partial: array<vec4<f32>>; // see attention_combine.wgsl

// In turn: what eight dimensions add to a score, [key][eight] with one more a key, so that neighbouring keys lie on different banks; values of two heads,
// [key lane][head][dimensions].
var<workgroup> dots: array<vec4<f32>, dots_size>;
// In turn: scores, [key]; largest scores of the key lanes and then their sums of weights.
var<workgroup> scores: array<vec4<f32>, scores_size>;

const lowest = vec4<f32>(-3.4e38);

// Where the key at a position lies, in groups of eight values.
fn place_of(sequence: u32, position: u32, kv_head: u32) -> u32 {
  let slot = block_tables[sequence * batch.blocks_per_sequence + position / block_size] * block_size + position % block_size;
  return (slot * kv_heads + kv_head) * (head_dim / 8u);
}
// Four heads of each of eight dimensions.
struct Heads { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32> }

fn dot_of(q: Heads, k: Eight) -> vec4<f32> {
  let low = fma(q.d, vec4<f32>(k.low.w), fma(q.c, vec4<f32>(k.low.z), fma(q.b, vec4<f32>(k.low.y), q.a * k.low.x)));
  let high = fma(q.h, vec4<f32>(k.high.w), fma(q.g, vec4<f32>(k.high.z), fma(q.f, vec4<f32>(k.high.y), q.e * k.high.x)));
  return low + high;
}
fn scaled(v: Heads, by: vec4<f32>) -> Heads { return Heads(v.a * by, v.b * by, v.c * by, v.d * by, v.e * by, v.f * by, v.g * by, v.h * by); }
fn weigh(v: Heads, w: vec4<f32>, value: Eight) -> Heads {
  return Heads(fma(w, vec4<f32>(value.low.x), v.a), fma(w, vec4<f32>(value.low.y), v.b), fma(w, vec4<f32>(value.low.z), v.c), fma(w, vec4<f32>(value.low.w), v.d),
    fma(w, vec4<f32>(value.high.x), v.e), fma(w, vec4<f32>(value.high.y), v.f), fma(w, vec4<f32>(value.high.z), v.g), fma(w, vec4<f32>(value.high.w), v.h));
}
fn sum_of(at: u32, count: u32) -> vec4<f32> {
  var sum = vec4<f32>(0.0);
  if (count % 4u == 0u) {
    for (var i = at; i < at + count; i += 4u) { sum += (dots[i] + dots[i + 1u]) + (dots[i + 2u] + dots[i + 3u]); }
  } else {
    for (var i = at; i < at + count; i++) { sum += dots[i]; }
  }
  return sum;
}
// Leaves the values of two heads where sums over key lanes are made.
fn leave(at: u32, low_a: vec4<f32>, high_a: vec4<f32>, low_b: vec4<f32>, high_b: vec4<f32>) {
  dots[at] = low_a;
  dots[at + 1u] = high_a;
  dots[at + head_dim / 4u] = low_b;
  dots[at + head_dim / 4u + 1u] = high_b;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = singles[group.x];
  let head0 = group.y * together;
  let kv_head = head0 * kv_heads / heads;
  let eights = head_dim / 8u;
  let u = thread % eights;
  let lane = thread / eights;
  let takes_part = lane < key_lanes;
  let sequence = row_context[row].x;
  let visible = row_context[row].y;
  let first = select(0u, visible - window, window > 0u && visible > window);
  let span = ((visible - first + batch.slices - 1u) / batch.slices + 63u) & ~63u;
  let begin = min(first + group.z * span, visible);
  let end = min(begin + span, visible);
  let values_at = slots_in_cache * kv_heads * eights + u;

  let scale = inverseSqrt(f32(head_dim)) * 1.44269504; // weights are powers of two
  let query = row * (heads + 2u * kv_heads) * (head_dim / 4u) + head0 * (head_dim / 4u) + 2u * u;
  var low = mat4x4<f32>(); // head by head
  var high = mat4x4<f32>();
  if (takes_part) {
    low[0] = qkv[query] * scale;
    high[0] = qkv[query + 1u] * scale;
    if (together > 1u) {
      low[1] = qkv[query + head_dim / 4u] * scale;
      high[1] = qkv[query + head_dim / 4u + 1u] * scale;
    }
    if (together > 2u) {
      low[2] = qkv[query + head_dim / 2u] * scale;
      high[2] = qkv[query + head_dim / 2u + 1u] * scale;
    }
    if (together > 3u) {
      low[3] = qkv[query + head_dim / 4u * 3u] * scale;
      high[3] = qkv[query + head_dim / 4u * 3u + 1u] * scale;
    }
  }
  low = transpose(low);
  high = transpose(high);
  let q = Heads(low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]);

  let zero = vec4<f32>(0.0);
  var v = Heads(zero, zero, zero, zero, zero, zero, zero, zero);
  var largest = lowest;
  var total = zero;
  var v0: Stored; var v1: Stored; var v2: Stored; var v3: Stored;
  for (var start = begin; start < end; start += 4u * key_lanes) {
    let p = vec4<u32>(start + lane) + vec4<u32>(0u, key_lanes, 2u * key_lanes, 3u * key_lanes);
    if (takes_part) {
      let at = min(p, vec4<u32>(end - 1u));
      let e0 = place_of(sequence, at.x, kv_head);
      let e1 = place_of(sequence, at.y, kv_head);
      let e2 = place_of(sequence, at.z, kv_head);
      let e3 = place_of(sequence, at.w, kv_head);
      let k0 = stored_at(e0 + u);
      let k1 = stored_at(e1 + u);
      let k2 = stored_at(e2 + u);
      let k3 = stored_at(e3 + u);
      // On their way while the scores are made.
      v0 = stored_at(e0 + values_at);
      v1 = stored_at(e1 + values_at);
      v2 = stored_at(e2 + values_at);
      v3 = stored_at(e3 + values_at);
      let to = lane * (eights + 1u) + u;
      dots[to] = dot_of(q, widened(k0));
      dots[to + key_lanes * (eights + 1u)] = dot_of(q, widened(k1));
      dots[to + 2u * key_lanes * (eights + 1u)] = dot_of(q, widened(k2));
      dots[to + 3u * key_lanes * (eights + 1u)] = dot_of(q, widened(k3));
    }
    workgroupBarrier();
    for (var key = thread; key < 4u * key_lanes; key += 256u) {
      scores[key] = sum_of(key * (eights + 1u), eights);
    }
    workgroupBarrier();
    if (takes_part) {
      let seen = p < vec4<u32>(end);
      let s0 = select(lowest, scores[lane], seen.x);
      let s1 = select(lowest, scores[lane + key_lanes], seen.y);
      let s2 = select(lowest, scores[lane + 2u * key_lanes], seen.z);
      let s3 = select(lowest, scores[lane + 3u * key_lanes], seen.w);
      // A lane that has seen no key yet adds nonsense, which weighs nothing once somebody has seen one.
      let now = max(max(largest, max(s0, s1)), max(s2, s3));
      let rescale = exp2(largest - now);
      let w0 = exp2(s0 - now);
      let w1 = exp2(s1 - now);
      let w2 = exp2(s2 - now);
      let w3 = exp2(s3 - now);
      largest = now;
      total = total * rescale + (w0 + w1) + (w2 + w3);
      v = weigh(weigh(weigh(weigh(scaled(v, rescale), w0, widened(v0)), w1, widened(v1)), w2, widened(v2)), w3, widened(v3));
    }
  }

  workgroupBarrier();
  if (takes_part && u == 0u) { scores[lane] = largest; }
  workgroupBarrier();
  var most = lowest;
  for (var i = 0u; i < key_lanes; i++) { most = max(most, scores[i]); }
  let rescale = exp2(largest - most);
  v = scaled(v, rescale);
  if (takes_part && u == 0u) { scores[lane + key_lanes] = total * rescale; }
  let to = lane * (head_dim / 2u) + 2u * u;
  if (takes_part) {
    leave(to, vec4<f32>(v.a.x, v.b.x, v.c.x, v.d.x), vec4<f32>(v.e.x, v.f.x, v.g.x, v.h.x), vec4<f32>(v.a.y, v.b.y, v.c.y, v.d.y), vec4<f32>(v.e.y, v.f.y, v.g.y, v.h.y));
  }
  workgroupBarrier();
  var sums = zero;
  for (var i = 0u; i < key_lanes; i++) { sums += scores[key_lanes + i]; }
  store_heads(group, row, head0, 0u, thread, most.xy, sums.xy);
  if (together > 2u) {
    workgroupBarrier();
    if (takes_part) {
      leave(to, vec4<f32>(v.a.z, v.b.z, v.c.z, v.d.z), vec4<f32>(v.e.z, v.f.z, v.g.z, v.h.z), vec4<f32>(v.a.w, v.b.w, v.c.w, v.d.w), vec4<f32>(v.e.w, v.f.w, v.g.w, v.h.w));
    }
    workgroupBarrier();
    store_heads(group, row, head0, 2u, thread, most.zw, sums.zw);
  }
}

// Adds the key lanes of two heads, each by the threads of its dimensions, and stores what comes of it.
fn store_heads(group: vec3<u32>, row: u32, head0: u32, first: u32, thread: u32, most: vec2<f32>, sums: vec2<f32>) {
  let h = thread / (head_dim / 4u);
  let d = thread % (head_dim / 4u);
  if (h > 1u || first + h >= together) { return; }
  var value = vec4<f32>(0.0);
  for (var i = 0u; i < key_lanes; i++) { value += dots[i * (head_dim / 2u) + thread]; }
  let head = head0 + first + h;
  let sum = select(sums.x, sums.y, h == 1u);
  if (batch.slices == 1u) {
    out[(row * heads + head) * (head_dim / 4u) + d] = value / sum;
    return;
  }
  let at = ((group.x * heads + head) * batch.slices + group.z) * (head_dim / 4u + 1u);
  partial[at + d] = value;
  if (d == 0u) { partial[at + head_dim / 4u] = vec4<f32>(select(most.x, most.y, h == 1u), sum, 0.0, 0.0); }
}
