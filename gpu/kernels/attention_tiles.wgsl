// attention for prompts over block tables: 64 query rows (the heads of a KV group for each of 64 / group tokens of one sequence) meet 64 keys at a time, so that
// K and V are read once for all of them. Online softmax, f32 FMA: 256 threads make 4 rows x 4 keys of scores and 4 rows x 8 dimensions of values each
// (rows 4 ty .., keys 4 tx .., dimensions 8 tx ..): more a thread took more registers, and too few threads were there to wait for each other. Keys that no row may
// see are not visited. head_dim a multiple of 8. Workgroups of x are KV heads, then slices of the context, which attention_combine.wgsl joins, then 128 dimensions
// each; those of y are tiles, so that what sees most keys begins first.
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

struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }
struct Values { a: Eight, b: Eight, c: Eight, d: Eight }

// In turn: 32 dimensions of 64 queries, [dimension / 16][dimension % 16][row / 4]; largest scores; weights of 32 keys, [key / 16][key % 16][row / 4].
// Units of four rows, or keys, are exchanged so that those that are stored together lie on different banks. Nested, so that few indices are not constant:
// each of those is held against its bound.
alias Tile = array<array<array<vec4<f32>, 16>, 16>, 2>;
var<workgroup> tile: Tile;
var<workgroup> keys: Tile; // of 64 keys the same dimensions, [..][key / 4]; values of 16 keys, [half][key][tx]
var<workgroup> places: array<u32, 128>; // where each key lies, in groups of eight values: of these 64 keys and of the next ones in turn

// Adds to the scores of 4 rows with four keys what dimension 16 h + d brings.
fn score(s: Rows, h: u32, d: u32, ty: u32, tx: u32) -> Rows {
  let q = tile[h][d][ty ^ (4u * h + (d >> 2u))];
  let k = keys[h][d][tx ^ (4u * h + 2u * (d >> 3u))];
  return Rows(fma(vec4<f32>(q.x), k, s.a), fma(vec4<f32>(q.y), k, s.b), fma(vec4<f32>(q.z), k, s.c), fma(vec4<f32>(q.w), k, s.d));
}
fn score_four(s: Rows, h: u32, d: u32, ty: u32, tx: u32) -> Rows {
  return score(score(score(score(s, h, d, ty, tx), h, d + 1u, ty, tx), h, d + 2u, ty, tx), h, d + 3u, ty, tx);
}
fn weigh(v: Eight, p: f32, e: Eight) -> Eight { return Eight(fma(vec4<f32>(p), e.low, v.low), fma(vec4<f32>(p), e.high, v.high)); }
// Adds to the values of 4 rows what key k of those that lie there brings, key 16 h + k of the weights.
fn value_of(v: Values, h: u32, k: u32, ty: u32, tx: u32) -> Values {
  let p = tile[h][k][ty ^ (2u * (k >> 2u))];
  let e = Eight(keys[0][k][tx], keys[1][k][tx]);
  return Values(weigh(v.a, p.x, e), weigh(v.b, p.y, e), weigh(v.c, p.z, e), weigh(v.d, p.w, e));
}
fn value_four(v: Values, h: u32, k: u32, ty: u32, tx: u32) -> Values {
  return value_of(value_of(value_of(value_of(v, h, k, ty, tx), h, k + 1u, ty, tx), h, k + 2u, ty, tx), h, k + 3u, ty, tx);
}
// Leaves four dimensions of a row (unit 0 .. 7), and eight of a key (unit 0 .. 3).
fn leave_query(q: vec4<f32>, unit: u32, row: u32) {
  let at = (row >> 2u) ^ unit;
  let d = 4u * (unit & 3u);
  tile[unit >> 2u][d][at][row & 3u] = q.x;
  tile[unit >> 2u][d + 1u][at][row & 3u] = q.y;
  tile[unit >> 2u][d + 2u][at][row & 3u] = q.z;
  tile[unit >> 2u][d + 3u][at][row & 3u] = q.w;
}
fn leave_key(k: Eight, unit: u32, key: u32) {
  let at = (key >> 2u) ^ (2u * unit);
  let d = 8u * (unit & 1u);
  keys[unit >> 1u][d][at][key & 3u] = k.low.x;
  keys[unit >> 1u][d + 1u][at][key & 3u] = k.low.y;
  keys[unit >> 1u][d + 2u][at][key & 3u] = k.low.z;
  keys[unit >> 1u][d + 3u][at][key & 3u] = k.low.w;
  keys[unit >> 1u][d + 4u][at][key & 3u] = k.high.x;
  keys[unit >> 1u][d + 5u][at][key & 3u] = k.high.y;
  keys[unit >> 1u][d + 6u][at][key & 3u] = k.high.z;
  keys[unit >> 1u][d + 7u][at][key & 3u] = k.high.w;
}
// Leaves the weights of four keys (unit 0 .. 7).
fn leave_weights(s: Rows, unit: u32, ty: u32) {
  let at = ty ^ (2u * (unit & 3u));
  let k = 4u * (unit & 3u);
  tile[unit >> 2u][k][at] = vec4<f32>(s.a.x, s.b.x, s.c.x, s.d.x);
  tile[unit >> 2u][k + 1u][at] = vec4<f32>(s.a.y, s.b.y, s.c.y, s.d.y);
  tile[unit >> 2u][k + 2u][at] = vec4<f32>(s.a.z, s.b.z, s.c.z, s.d.z);
  tile[unit >> 2u][k + 3u][at] = vec4<f32>(s.a.w, s.b.w, s.c.w, s.d.w);
}
fn most_of(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn sum_of(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }
// Leaves one number of each of the thread's rows where the 16 threads of the row find them.
fn leave(ty: u32, tx: u32, v: vec4<f32>) {
  let at = 4u * (ty & 3u) + (tx >> 2u);
  tile[0][ty >> 2u][at][tx & 3u] = v.x;
  tile[0][4u + (ty >> 2u)][at][tx & 3u] = v.y;
  tile[0][8u + (ty >> 2u)][at][tx & 3u] = v.z;
  tile[0][12u + (ty >> 2u)][at][tx & 3u] = v.w;
}
// Of the thread's row i what was left.
fn row_most(i: u32, ty: u32) -> f32 {
  let n = 4u * i + (ty >> 2u);
  let at = 4u * (ty & 3u);
  return most_of(max(max(tile[0][n][at], tile[0][n][at + 1u]), max(tile[0][n][at + 2u], tile[0][n][at + 3u])));
}
fn row_sum(i: u32, ty: u32) -> f32 {
  let n = 4u * i + (ty >> 2u);
  let at = 4u * (ty & 3u);
  return sum_of((tile[0][n][at] + tile[0][n][at + 1u]) + (tile[0][n][at + 2u] + tile[0][n][at + 3u]));
}
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

// What a thread brings of 32 dimensions: a unit of two queries, eight values of a key. Dimensions beyond the head's are zeros.
struct Parts { q0: vec4<f32>, q1: vec4<f32>, k: Stored }
struct Queries { at: vec2<u32>, unit: u32 }
fn parts_at(q: Queries, key: u32, d: u32, ku: u32, scale: f32) -> Parts {
  var p: Parts;
  if (d + 4u * q.unit < head_dim) {
    let u = d / 4u + q.unit;
    p.q0 = qkv[q.at.x + u] * scale;
    p.q1 = qkv[q.at.y + u] * scale;
  }
  if (d + 8u * ku < head_dim) {
    p.k = stored_at(key + d / 8u);
  }
  return p;
}
fn value_at(place: u32, vd: u32) -> Stored {
  if (vd >= head_dim / 8u) { return Stored(vec4<u32>(0u), vec4<u32>(0u)); }
  return stored_at(place + slots_in_cache * kv_heads * (head_dim / 8u) + vd);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let together = heads / kv_heads;
  let info = tiles[group.y];
  let kv_head = group.x % kv_heads;
  let slice = group.x / kv_heads % batch.tile_slices;
  let dim0 = group.x / (kv_heads * batch.tile_slices) * 128u;
  let tx = (thread & 1u) | ((thread >> 1u) & 6u) | (((thread >> 5u) & 1u) << 3u);
  let ty = ((thread >> 1u) & 1u) | ((thread >> 3u) & 2u) | ((thread >> 6u) << 2u);
  let last_m = info.y * together - 1u;
  let last = info.w + info.y - 1u;
  let first = select(0u, info.w - window, window > 0u && info.w > window);
  let span = ((last - first + batch.tile_slices - 1u) / batch.tile_slices + 63u) & ~63u;
  let begin = min(first + slice * span, last);
  let end = min(begin + span, last);
  let stride = (heads + 2u * kv_heads) * head_dim / 4u;
  let scale = inverseSqrt(f32(head_dim)) * 1.44269504; // weights are powers of two
  // What this thread brings: a unit of queries thread / 8 and thread / 8 + 32, eight values of key thread / 4; eight values of every 16th key.
  let qu = thread & 7u;
  let qm = thread >> 3u;
  var query_at: vec2<u32>;
  for (var n = 0u; n < 2u; n++) {
    let m = min(qm + 32u * n, last_m);
    query_at[n] = (info.x + m / together) * stride + (kv_head * together + m % together) * (head_dim / 4u);
  }
  let ku = thread & 3u;
  let kk = thread >> 2u;
  let vk = thread >> 4u;
  let vd = dim0 / 8u + (thread & 15u);
  var v: Values;
  var most = vec4<f32>(-3.4e38);
  var sum = vec4<f32>(0.0);
  // What is loaded next is on its way while what was loaded before is computed with.
  let q_at = Queries(query_at, qu);
  if (thread < 64u) { places[thread] = place_of(info, kv_head, min(begin + thread, last - 1u)); }
  workgroupBarrier();
  var fresh = parts_at(q_at, places[kk] + ku, 0u, ku, scale);
  var value: Stored;
  var current = 0u; // half of `places`
  for (var start = begin; start < end; start += 64u) {
    // Zeroed by hand: naga zeroes what is declared in a loop once, not each time.
    let zero = vec4<f32>(0.0);
    var s = Rows(zero, zero, zero, zero);
    let key = places[current + kk] + ku;
    let following = place_of(info, kv_head, min(start + 64u + (thread & 63u), last - 1u));
    for (var d = 0u; d < head_dim; d += 32u) {
      workgroupBarrier();
      leave_query(fresh.q0, qu, qm);
      leave_query(fresh.q1, qu, qm + 32u);
      leave_key(widened(fresh.k), ku, kk);
      workgroupBarrier();
      if (d + 32u < head_dim) {
        fresh = parts_at(q_at, key, d + 32u, ku, scale);
      } else {
        value = value_at(places[current + vk], vd);
      }
      s = score_four(score_four(score_four(score_four(s, 0u, 0u, ty, tx), 0u, 4u, ty, tx), 0u, 8u, ty, tx), 0u, 12u, ty, tx);
      s = score_four(score_four(score_four(score_four(s, 1u, 0u, ty, tx), 1u, 4u, ty, tx), 1u, 8u, ty, tx), 1u, 12u, ty, tx);
    }
    if (start + 64u > info.w || window > 0u) {
      let p = start + 4u * tx;
      s.a = masked(s.a, p, info.w + 4u * ty / together);
      s.b = masked(s.b, p, info.w + (4u * ty + 1u) / together);
      s.c = masked(s.c, p, info.w + (4u * ty + 2u) / together);
      s.d = masked(s.d, p, info.w + (4u * ty + 3u) / together);
    }
    workgroupBarrier();
    leave(ty, tx, vec4<f32>(most_of(s.a), most_of(s.b), most_of(s.c), most_of(s.d)));
    workgroupBarrier();
    let now = max(most, vec4<f32>(row_most(0u, ty), row_most(1u, ty), row_most(2u, ty), row_most(3u, ty)));
    let by = exp2(most - now);
    most = now;
    s = Rows(exp2(s.a - now.x), exp2(s.b - now.y), exp2(s.c - now.z), exp2(s.d - now.w));
    sum = sum * by + vec4<f32>(sum_of(s.a), sum_of(s.b), sum_of(s.c), sum_of(s.d));
    v = Values(scaled(v.a, by.x), scaled(v.b, by.y), scaled(v.c, by.z), scaled(v.d, by.w));
    if (thread < 64u) { places[(current ^ 64u) + thread] = following; }
    for (var k = 0u; k < 64u; k += 16u) {
      workgroupBarrier();
      if ((k & 16u) == 0u && (tx >> 3u) == (k >> 5u)) { leave_weights(s, tx & 7u, ty); }
      let wide = widened(value);
      keys[0][vk][thread & 15u] = wide.low;
      keys[1][vk][thread & 15u] = wide.high;
      workgroupBarrier();
      if (k + 16u < 64u) {
        value = value_at(places[current + k + 16u + vk], vd);
      } else {
        fresh = parts_at(q_at, places[(current ^ 64u) + kk] + ku, 0u, ku, scale);
      }
      let h = (k >> 4u) & 1u;
      v = value_four(value_four(value_four(value_four(v, h, 0u, ty, tx), h, 4u, ty, tx), h, 8u, ty, tx), h, 12u, ty, tx);
    }
    current ^= 64u;
  }
  workgroupBarrier();
  leave(ty, tx, sum);
  workgroupBarrier();
  let place = Place(group.y, kv_head, slice, dim0 / 8u + tx);
  store_row(info, place, 4u * ty, most.x, row_sum(0u, ty), v.a);
  store_row(info, place, 4u * ty + 1u, most.y, row_sum(1u, ty), v.b);
  store_row(info, place, 4u * ty + 2u, most.z, row_sum(2u, ty), v.c);
  store_row(info, place, 4u * ty + 3u, most.w, row_sum(3u, ty), v.d);
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
