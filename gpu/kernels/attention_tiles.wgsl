// attention for prompts over block tables: 64 query rows (the heads of a KV group for each of 64 / group tokens of one sequence) meet 64 keys at a time, so that
// K and V are read once for all of them. Online softmax, f32 FMA: 128 threads make 8 rows x 4 keys of scores and 8 rows x 8 dimensions of values each
// (rows ty + 8 i, keys 4 tx + j, dimensions 8 tx ..). Keys that no row may see are not visited. head_dim a multiple of 8. Workgroups of x are KV heads, then slices
// of the context, which attention_combine.wgsl joins, then 128 dimensions each; those of y are tiles, so that what sees most keys begins first.
// Twin: wasm/model/src/ops/attention.rs. Source: Milakov and Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135.
override heads: u32;
override kv_heads: u32;
override head_dim: u32;
override window: u32;
override block_size: u32;
override slots_in_cache: u32;
override tile_rows: u32; // rows that a tile has room for

// Rows of one sequence: first row, number, sequence, keys that the first row sees.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> tiles: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> block_tables: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> cache: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> partial: array<vec4<f32>>; // see attention_combine.wgsl

struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32> }
struct Values { a: Eight, b: Eight, c: Eight, d: Eight, e: Eight, f: Eight, g: Eight, h: Eight }

// In turn: 32 dimensions of 64 queries and (from `second`) of 64 keys, [unit][row]; largest scores, [row][tx]; weights, [key / 4][row], and from `third` values
// of 8 keys, [key][half][tx]. A row more than 64 keeps units on different banks.
const pitch = 65u;
const second = 520u;
const third = 1040u;
var<workgroup> tile: array<vec4<f32>, 1296>;
var<workgroup> places: array<u32, 128>; // where each key lies, in groups of eight values: of these 64 keys and of the next ones in turn

fn rows_at(at: u32) -> Rows { return Rows(tile[at], tile[at + 8u], tile[at + 16u], tile[at + 24u], tile[at + 32u], tile[at + 40u], tile[at + 48u], tile[at + 56u]); }

// Adds to the scores of one row with four keys what four dimensions bring.
fn four_of(s: vec4<f32>, q: vec4<f32>, k: mat4x4<f32>) -> vec4<f32> {
  var sum = fma(vec4<f32>(q.x), vec4<f32>(k[0].x, k[1].x, k[2].x, k[3].x), s);
  sum = fma(vec4<f32>(q.y), vec4<f32>(k[0].y, k[1].y, k[2].y, k[3].y), sum);
  sum = fma(vec4<f32>(q.z), vec4<f32>(k[0].z, k[1].z, k[2].z, k[3].z), sum);
  return fma(vec4<f32>(q.w), vec4<f32>(k[0].w, k[1].w, k[2].w, k[3].w), sum);
}
fn score_unit(s: Rows, ty: u32, tx: u32, u: u32) -> Rows {
  let q = rows_at(u * pitch + ty);
  let at = second + u * pitch + tx;
  let k = mat4x4<f32>(tile[at], tile[at + 16u], tile[at + 32u], tile[at + 48u]);
  return Rows(four_of(s.a, q.a, k), four_of(s.b, q.b, k), four_of(s.c, q.c, k), four_of(s.d, q.d, k), four_of(s.e, q.e, k), four_of(s.f, q.f, k),
    four_of(s.g, q.g, k), four_of(s.h, q.h, k));
}
// Adds to the values of one row what four keys bring.
fn weigh(v: Eight, p: vec4<f32>, k0: Eight, k1: Eight, k2: Eight, k3: Eight) -> Eight {
  let low = fma(vec4<f32>(p.w), k3.low, fma(vec4<f32>(p.z), k2.low, fma(vec4<f32>(p.y), k1.low, fma(vec4<f32>(p.x), k0.low, v.low))));
  let high = fma(vec4<f32>(p.w), k3.high, fma(vec4<f32>(p.z), k2.high, fma(vec4<f32>(p.y), k1.high, fma(vec4<f32>(p.x), k0.high, v.high))));
  return Eight(low, high);
}
fn value_unit(v: Values, ty: u32, tx: u32, u: u32, half: u32) -> Values {
  let p = rows_at(u * pitch + ty);
  let at = third + half * 128u + tx;
  let k0 = Eight(tile[at], tile[at + 16u]);
  let k1 = Eight(tile[at + 32u], tile[at + 48u]);
  let k2 = Eight(tile[at + 64u], tile[at + 80u]);
  let k3 = Eight(tile[at + 96u], tile[at + 112u]);
  return Values(weigh(v.a, p.a, k0, k1, k2, k3), weigh(v.b, p.b, k0, k1, k2, k3), weigh(v.c, p.c, k0, k1, k2, k3), weigh(v.d, p.d, k0, k1, k2, k3),
    weigh(v.e, p.e, k0, k1, k2, k3), weigh(v.f, p.f, k0, k1, k2, k3), weigh(v.g, p.g, k0, k1, k2, k3), weigh(v.h, p.h, k0, k1, k2, k3));
}
fn most_of(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn sum_of(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }
// Leaves one number of each of the thread's rows where the 16 threads of the row find them.
fn leave(ty: u32, tx: u32, low: vec4<f32>, high: vec4<f32>) {
  let at = 4u * ty + (tx >> 2u);
  let c = tx & 3u;
  tile[at][c] = low.x;
  tile[at + 32u][c] = low.y;
  tile[at + 64u][c] = low.z;
  tile[at + 96u][c] = low.w;
  tile[at + 128u][c] = high.x;
  tile[at + 160u][c] = high.y;
  tile[at + 192u][c] = high.z;
  tile[at + 224u][c] = high.w;
}
fn row_most(at: u32) -> f32 { return most_of(max(max(tile[at], tile[at + 1u]), max(tile[at + 2u], tile[at + 3u]))); }
fn row_sum(at: u32) -> f32 { return sum_of((tile[at] + tile[at + 1u]) + (tile[at + 2u] + tile[at + 3u])); }
fn scaled(v: Eight, by: f32) -> Eight { return Eight(v.low * by, v.high * by); }
// The scores of a row whose keys begin at `first`, without those that it may not see.
fn masked(s: vec4<f32>, first: u32, visible: u32) -> vec4<f32> {
  let position = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
  var seen = position < vec4<u32>(visible);
  if (window > 0u) { seen = seen & (position + vec4<u32>(window) >= vec4<u32>(visible)); }
  return select(vec4<f32>(-3.4e38), s, seen);
}
// Where the key at a position lies, in groups of eight values.
fn place_of(info: vec4<u32>, kv_head: u32, position: u32) -> u32 {
  let slot = block_tables[info.z * batch.blocks_per_sequence + position / block_size] * block_size + position % block_size;
  return (slot * kv_heads + kv_head) * (head_dim / 8u);
}

// What a thread brings of 32 dimensions: a unit of four queries, eight values of two keys. Dimensions beyond the head's are zeros.
struct Parts { q0: vec4<f32>, q1: vec4<f32>, q2: vec4<f32>, q3: vec4<f32>, ka: Stored, kb: Stored }
struct Queries { at: vec4<u32>, unit: u32 }
fn parts_at(q: Queries, key_a: u32, key_b: u32, d: u32, ku: u32, scale: f32) -> Parts {
  var p: Parts;
  if (d + 4u * q.unit < head_dim) {
    let u = d / 4u + q.unit;
    p.q0 = qkv[q.at.x + u] * scale;
    p.q1 = qkv[q.at.y + u] * scale;
    p.q2 = qkv[q.at.z + u] * scale;
    p.q3 = qkv[q.at.w + u] * scale;
  }
  if (d + 8u * ku < head_dim) {
    p.ka = stored_at(key_a + d / 8u);
    p.kb = stored_at(key_b + d / 8u);
  }
  return p;
}
fn value_at(place: u32, vd: u32) -> Stored {
  if (vd >= head_dim / 8u) { return Stored(vec4<u32>(0u), vec4<u32>(0u)); }
  return stored_at(place + slots_in_cache * kv_heads * (head_dim / 8u) + vd);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let together = heads / kv_heads;
  let info = tiles[group.y];
  let kv_head = group.x % kv_heads;
  let slice = group.x / kv_heads % batch.tile_slices;
  let dim0 = group.x / (kv_heads * batch.tile_slices) * 128u;
  let tx = (thread & 7u) | (((thread >> 5u) & 1u) << 3u);
  let ty = ((thread >> 3u) & 3u) | ((thread >> 6u) << 2u);
  let last_m = info.y * together - 1u;
  let last = info.w + info.y - 1u;
  let first = select(0u, info.w - window, window > 0u && info.w > window);
  let span = ((last - first + batch.tile_slices - 1u) / batch.tile_slices + 63u) & ~63u;
  let begin = min(first + slice * span, last);
  let end = min(begin + span, last);
  let stride = (heads + 2u * kv_heads) * head_dim / 4u;
  let scale = inverseSqrt(f32(head_dim)) * 1.44269504; // weights are powers of two
  // What this thread brings: a unit of queries thread / 8 + 16 n, eight values of keys thread / 4 and thread / 4 + 32.
  let qu = thread & 7u;
  let qm = thread >> 3u;
  var query_at: vec4<u32>;
  for (var n = 0u; n < 4u; n++) {
    let m = min(qm + 16u * n, last_m);
    query_at[n] = (info.x + m / together) * stride + (kv_head * together + m % together) * (head_dim / 4u);
  }
  let ku = thread & 3u;
  let kk = thread >> 2u;
  let k_at = second + 2u * ku * pitch + (kk & 3u) * 16u + (kk >> 2u);
  let vk = thread >> 4u;
  let vd = dim0 / 8u + (thread & 15u);
  var v: Values;
  var most_low = vec4<f32>(-3.4e38);
  var most_high = vec4<f32>(-3.4e38);
  var sum_low = vec4<f32>(0.0);
  var sum_high = vec4<f32>(0.0);
  // What is loaded next is on its way while what was loaded before is computed with.
  let q_at = Queries(query_at, qu);
  if (thread < 64u) { places[thread] = place_of(info, kv_head, min(begin + thread, last - 1u)); }
  workgroupBarrier();
  var fresh = parts_at(q_at, places[kk] + ku, places[kk + 32u] + ku, 0u, ku, scale);
  var value: Stored;
  var current = 0u; // half of `places`
  for (var start = begin; start < end; start += 64u) {
    // Zeroed by hand: naga zeroes what is declared in a loop once, not each time.
    let zero = vec4<f32>(0.0);
    var s = Rows(zero, zero, zero, zero, zero, zero, zero, zero);
    let key_a = places[current + kk] + ku;
    let key_b = places[current + kk + 32u] + ku;
    let following = place_of(info, kv_head, min(start + 64u + (thread & 63u), last - 1u));
    for (var d = 0u; d < head_dim; d += 32u) {
      workgroupBarrier();
      let at = qu * pitch + qm;
      tile[at] = fresh.q0;
      tile[at + 16u] = fresh.q1;
      tile[at + 32u] = fresh.q2;
      tile[at + 48u] = fresh.q3;
      let ka = widened(fresh.ka);
      let kb = widened(fresh.kb);
      tile[k_at] = ka.low;
      tile[k_at + pitch] = ka.high;
      tile[k_at + 8u] = kb.low;
      tile[k_at + pitch + 8u] = kb.high;
      workgroupBarrier();
      if (d + 32u < head_dim) {
        fresh = parts_at(q_at, key_a, key_b, d + 32u, ku, scale);
      } else {
        value = value_at(places[current + vk], vd);
      }
      s = score_unit(s, ty, tx, 0u);
      s = score_unit(s, ty, tx, 1u);
      s = score_unit(s, ty, tx, 2u);
      s = score_unit(s, ty, tx, 3u);
      s = score_unit(s, ty, tx, 4u);
      s = score_unit(s, ty, tx, 5u);
      s = score_unit(s, ty, tx, 6u);
      s = score_unit(s, ty, tx, 7u);
    }
    if (start + 64u > info.w || window > 0u) {
      let p = start + 4u * tx;
      s.a = masked(s.a, p, info.w + ty / together);
      s.b = masked(s.b, p, info.w + (ty + 8u) / together);
      s.c = masked(s.c, p, info.w + (ty + 16u) / together);
      s.d = masked(s.d, p, info.w + (ty + 24u) / together);
      s.e = masked(s.e, p, info.w + (ty + 32u) / together);
      s.f = masked(s.f, p, info.w + (ty + 40u) / together);
      s.g = masked(s.g, p, info.w + (ty + 48u) / together);
      s.h = masked(s.h, p, info.w + (ty + 56u) / together);
    }
    workgroupBarrier();
    leave(ty, tx, vec4<f32>(most_of(s.a), most_of(s.b), most_of(s.c), most_of(s.d)), vec4<f32>(most_of(s.e), most_of(s.f), most_of(s.g), most_of(s.h)));
    workgroupBarrier();
    let r = 4u * ty;
    let low = max(most_low, vec4<f32>(row_most(r), row_most(r + 32u), row_most(r + 64u), row_most(r + 96u)));
    let high = max(most_high, vec4<f32>(row_most(r + 128u), row_most(r + 160u), row_most(r + 192u), row_most(r + 224u)));
    let by_low = exp2(most_low - low);
    let by_high = exp2(most_high - high);
    most_low = low;
    most_high = high;
    s = Rows(exp2(s.a - low.x), exp2(s.b - low.y), exp2(s.c - low.z), exp2(s.d - low.w), exp2(s.e - high.x), exp2(s.f - high.y), exp2(s.g - high.z), exp2(s.h - high.w));
    sum_low = sum_low * by_low + vec4<f32>(sum_of(s.a), sum_of(s.b), sum_of(s.c), sum_of(s.d));
    sum_high = sum_high * by_high + vec4<f32>(sum_of(s.e), sum_of(s.f), sum_of(s.g), sum_of(s.h));
    v = Values(scaled(v.a, by_low.x), scaled(v.b, by_low.y), scaled(v.c, by_low.z), scaled(v.d, by_low.w), scaled(v.e, by_high.x), scaled(v.f, by_high.y),
      scaled(v.g, by_high.z), scaled(v.h, by_high.w));
    workgroupBarrier();
    if (thread < 64u) { places[(current ^ 64u) + thread] = following; }
    let w = tx * pitch + ty;
    tile[w] = s.a;
    tile[w + 8u] = s.b;
    tile[w + 16u] = s.c;
    tile[w + 24u] = s.d;
    tile[w + 32u] = s.e;
    tile[w + 40u] = s.f;
    tile[w + 48u] = s.g;
    tile[w + 56u] = s.h;
    for (var k = 0u; k < 64u; k += 8u) {
      workgroupBarrier();
      let at = third + vk * 32u + (thread & 15u);
      let wide = widened(value);
      tile[at] = wide.low;
      tile[at + 16u] = wide.high;
      workgroupBarrier();
      if (k + 8u < 64u) {
        value = value_at(places[current + k + 8u + vk], vd);
      } else {
        fresh = parts_at(q_at, places[(current ^ 64u) + kk] + ku, places[(current ^ 64u) + kk + 32u] + ku, 0u, ku, scale);
      }
      v = value_unit(v, ty, tx, k / 4u, 0u);
      v = value_unit(v, ty, tx, k / 4u + 1u, 1u);
    }
    current ^= 64u;
  }
  workgroupBarrier();
  leave(ty, tx, sum_low, sum_high);
  workgroupBarrier();
  let r = 4u * ty;
  let at = dim0 / 8u + tx;
  let place = Place(group.y, kv_head, slice, at);
  store_row(info, place, ty, most_low.x, row_sum(r), v.a);
  store_row(info, place, ty + 8u, most_low.y, row_sum(r + 32u), v.b);
  store_row(info, place, ty + 16u, most_low.z, row_sum(r + 64u), v.c);
  store_row(info, place, ty + 24u, most_low.w, row_sum(r + 96u), v.d);
  store_row(info, place, ty + 32u, most_high.x, row_sum(r + 128u), v.e);
  store_row(info, place, ty + 40u, most_high.y, row_sum(r + 160u), v.f);
  store_row(info, place, ty + 48u, most_high.z, row_sum(r + 192u), v.g);
  store_row(info, place, ty + 56u, most_high.w, row_sum(r + 224u), v.h);
}

struct Place { tile: u32, kv_head: u32, slice: u32, eight: u32 }

fn store_row(info: vec4<u32>, place: Place, m: u32, most: f32, sum: f32, v: Eight) {
  let together = heads / kv_heads;
  let row = m / together;
  let head = place.kv_head * together + m % together;
  if (row >= info.y || place.eight >= head_dim / 8u) { return; }
  if (batch.tile_slices == 1u) {
    let to = ((info.x + row) * heads + head) * (head_dim / 4u) + 2u * place.eight;
    out[to] = v.low / sum;
    out[to + 1u] = v.high / sum;
    return;
  }
  let to = (((place.tile * tile_rows + row) * heads + head) * batch.tile_slices + place.slice) * (head_dim / 4u + 1u);
  partial[to + 2u * place.eight] = v.low;
  partial[to + 2u * place.eight + 1u] = v.high;
  if (place.eight == 0u) { partial[to + head_dim / 4u] = vec4<f32>(most, sum, 0.0, 0.0); }
}
