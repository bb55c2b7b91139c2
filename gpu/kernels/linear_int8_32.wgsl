// linear for some tens of rows of int8 activations and quantized weights: tiles of 32 rows x 128 outputs over K in steps of 64, packed dot products.
// Arithmetic and format parts (int8_*.wgsl) as in linear_int8.wgsl, tiles as in linear_float_32.wgsl. Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<u32>>;        // [rows][inner / 16]
@group(0) @binding(5) var<storage, read> x_scales: array<vec4<f32>>; // [rows][inner / 64] scale, scale * sum of two blocks
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

var<workgroup> tile_x: array<array<array<vec4<u32>, 4>, 8>, 4>; // [unit][i][ty]
var<workgroup> tile_w: array<array<array<vec4<u32>, 32>, 4>, 4>; // [unit][j][tx]
var<workgroup> factors_x: array<array<vec4<f32>, 4>, 8>;
var<workgroup> factors_w: array<array<vec4<f32>, 32>, 4>;

struct Sums { c0: Eight, c1: Eight, c2: Eight, c3: Eight }

fn rows_of(ty: u32, u: u32) -> Rows {
  return Rows(tile_x[u][0][ty], tile_x[u][1][ty], tile_x[u][2][ty], tile_x[u][3][ty], tile_x[u][4][ty], tile_x[u][5][ty], tile_x[u][6][ty], tile_x[u][7][ty]);
}
fn x_factor(i: u32, ty: u32, b: u32) -> vec2<f32> { return select(factors_x[i][ty].xy, factors_x[i][ty].zw, b == 1u); }
fn w_factor(j: u32, tx: u32, b: u32) -> vec2<f32> { return select(factors_w[j][tx].xy, factors_w[j][tx].zw, b == 1u); }
fn step_of(s: Sums, ty: u32, tx: u32, b: u32) -> Sums {
  let u = 2u * b;
  let v = u + 1u;
  let p = rows_of(ty, u);
  let q = rows_of(ty, v);
  let f0 = x_factor(0u, ty, b); let f1 = x_factor(1u, ty, b); let f2 = x_factor(2u, ty, b); let f3 = x_factor(3u, ty, b);
  let f4 = x_factor(4u, ty, b); let f5 = x_factor(5u, ty, b); let f6 = x_factor(6u, ty, b); let f7 = x_factor(7u, ty, b);
  let sx = Eight(vec4<f32>(f0.x, f1.x, f2.x, f3.x), vec4<f32>(f4.x, f5.x, f6.x, f7.x));
  let sums = Eight(vec4<f32>(f0.y, f1.y, f2.y, f3.y), vec4<f32>(f4.y, f5.y, f6.y, f7.y));
  return Sums(block_of(s.c0, p, q, tile_w[u][0][tx], tile_w[v][0][tx], sx, sums, w_factor(0u, tx, b)),
    block_of(s.c1, p, q, tile_w[u][1][tx], tile_w[v][1][tx], sx, sums, w_factor(1u, tx, b)),
    block_of(s.c2, p, q, tile_w[u][2][tx], tile_w[v][2][tx], sx, sums, w_factor(2u, tx, b)),
    block_of(s.c3, p, q, tile_w[u][3][tx], tile_w[v][3][tx], sx, sums, w_factor(3u, tx, b)));
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.x * 32u;
  let tx = (thread & 7u) | ((thread >> 5u) << 3u);
  let ty = (thread >> 3u) & 3u;
  let steps = matrix.inner >> 6u;
  let per = (steps + groups.z - 1u) / groups.z;
  let begin = min(group.z * per, steps);
  let end = min(begin + per, steps);
  plane = group.z;
  // What this thread brings: a unit of row lr, two blocks of output `thread`, the factors of row `thread & 31`.
  let last = row_count() - 1u;
  let lr = thread >> 2u;
  let lc = thread & 3u;
  let at_x = min(row0 + lr, last) * (matrix.inner >> 4u) + lc;
  let at_s = min(row0 + (thread & 31u), last) * steps;
  let row_w = tile_row(group.y, thread);
  let at = min(begin, steps - 1u);
  var x0 = x[at_x + 4u * at];
  var fx = x_scales[at_s + at];
  var fw = pair_scales(row_w, at);
  var w0 = load_weights(row_w, 2u * at);
  var w1 = load_weights(row_w, 2u * at + 1u);
  var s: Sums;
  for (var t = begin; t < end; t++) {
    workgroupBarrier();
    tile_x[lc][lr >> 2u][lr & 3u] = x0;
    if (thread < 32u) { factors_x[thread >> 2u][thread & 3u] = fx; }
    factors_w[thread >> 5u][thread & 31u] = fw;
    tile_w[0][thread >> 5u][thread & 31u] = signed_low(w0);
    tile_w[1][thread >> 5u][thread & 31u] = signed_high(w0);
    tile_w[2][thread >> 5u][thread & 31u] = signed_low(w1);
    tile_w[3][thread >> 5u][thread & 31u] = signed_high(w1);
    workgroupBarrier();
    let next = min(t + 1u, steps - 1u);
    x0 = x[at_x + 4u * next];
    fx = x_scales[at_s + next];
    fw = pair_scales(row_w, next);
    w0 = load_weights(row_w, 2u * next);
    w1 = load_weights(row_w, 2u * next + 1u);
    s = step_of(s, ty, tx, 0u);
    s = step_of(s, ty, tx, 1u);
  }
  store_tile(row0 + ty, group.y, tx, s);
}
