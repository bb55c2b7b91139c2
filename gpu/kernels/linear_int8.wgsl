// linear for many rows of int8 activations and quantized weights: tiles of 128 rows x 128 outputs over K in steps of 64, packed dot products.
// A thread makes 8 x 8 results: rows ty + 16 i, outputs tx + 16 j; a subgroup of 32 covers 8 outputs x 4 rows, in lanes such that neighbours, or neighbours but one,
// read the same unit. Two buffers of workgroup memory, so one barrier a step; the next step's loads are issued before this step is computed. Workgroup memory is
// nested [buffer][i][ty or tx][unit], so that only buffer, ty and tx are dynamic indices; a fifth unit keeps neighbouring rows on different banks, and holds what
// the two blocks of the step are multiplied with. K may be split over z.
// The format's part (int8_*.wgsl) defines Weights, load_weights, signed_low and signed_high (the signed bytes of a block), load_scales and scales_of; sums are made in int8_block.wgsl.
// Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<u32>>;        // [rows][inner / 16]
@group(0) @binding(5) var<storage, read> x_scales: array<vec4<f32>>; // [rows][inner / 64] scale, scale * sum of two blocks
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

alias Tile = array<array<array<vec4<u32>, 5>, 16>, 8>;
var<workgroup> tile_x: array<Tile, 2>;
var<workgroup> tile_w: array<Tile, 2>;

struct Sums { c0: Eight, c1: Eight, c2: Eight, c3: Eight, c4: Eight, c5: Eight, c6: Eight, c7: Eight }

fn rows_of(at: u32, ty: u32, u: u32) -> Rows {
  return Rows(tile_x[at][0][ty][u], tile_x[at][1][ty][u], tile_x[at][2][ty][u], tile_x[at][3][ty][u], tile_x[at][4][ty][u], tile_x[at][5][ty][u],
    tile_x[at][6][ty][u], tile_x[at][7][ty][u]);
}
// Scale (and scale * sum) of block b for row ty + 16 i, scale (and minimum) of block b for output tx + 16 j.
fn x_factor(at: u32, i: u32, ty: u32, b: u32) -> vec2<f32> {
  let f = bitcast<vec4<f32>>(tile_x[at][i][ty][4]);
  return select(f.xy, f.zw, b == 1u);
}
fn w_factor(at: u32, j: u32, tx: u32, b: u32) -> vec2<f32> {
  let f = bitcast<vec4<f32>>(tile_w[at][j][tx][4]);
  return select(f.xy, f.zw, b == 1u);
}
fn step_of(s: Sums, at: u32, ty: u32, tx: u32, b: u32) -> Sums {
  let u = 2u * b;
  let v = u + 1u;
  let p = rows_of(at, ty, u);
  let q = rows_of(at, ty, v);
  let f0 = x_factor(at, 0u, ty, b); let f1 = x_factor(at, 1u, ty, b); let f2 = x_factor(at, 2u, ty, b); let f3 = x_factor(at, 3u, ty, b);
  let f4 = x_factor(at, 4u, ty, b); let f5 = x_factor(at, 5u, ty, b); let f6 = x_factor(at, 6u, ty, b); let f7 = x_factor(at, 7u, ty, b);
  let sx = Eight(vec4<f32>(f0.x, f1.x, f2.x, f3.x), vec4<f32>(f4.x, f5.x, f6.x, f7.x));
  let sums = Eight(vec4<f32>(f0.y, f1.y, f2.y, f3.y), vec4<f32>(f4.y, f5.y, f6.y, f7.y));
  return Sums(block_of(s.c0, p, q, tile_w[at][0][tx][u], tile_w[at][0][tx][v], sx, sums, w_factor(at, 0u, tx, b)),
    block_of(s.c1, p, q, tile_w[at][1][tx][u], tile_w[at][1][tx][v], sx, sums, w_factor(at, 1u, tx, b)),
    block_of(s.c2, p, q, tile_w[at][2][tx][u], tile_w[at][2][tx][v], sx, sums, w_factor(at, 2u, tx, b)),
    block_of(s.c3, p, q, tile_w[at][3][tx][u], tile_w[at][3][tx][v], sx, sums, w_factor(at, 3u, tx, b)),
    block_of(s.c4, p, q, tile_w[at][4][tx][u], tile_w[at][4][tx][v], sx, sums, w_factor(at, 4u, tx, b)),
    block_of(s.c5, p, q, tile_w[at][5][tx][u], tile_w[at][5][tx][v], sx, sums, w_factor(at, 5u, tx, b)),
    block_of(s.c6, p, q, tile_w[at][6][tx][u], tile_w[at][6][tx][v], sx, sums, w_factor(at, 6u, tx, b)),
    block_of(s.c7, p, q, tile_w[at][7][tx][u], tile_w[at][7][tx][v], sx, sums, w_factor(at, 7u, tx, b)));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.x * 128u;
  let tx = (thread & 1u) | ((thread >> 1u) & 6u) | (((thread >> 5u) & 1u) << 3u);
  let ty = ((thread >> 1u) & 1u) | ((thread >> 3u) & 2u) | ((thread >> 6u) << 2u);
  let steps = matrix.inner >> 6u;
  let per = (steps + groups.z - 1u) / groups.z;
  let begin = min(group.z * per, steps);
  let end = min(begin + per, steps);
  plane = group.z;
  // What this thread brings: a unit of rows lr and lr + 64; one block of output wr; the factors of a row or of an output.
  let last = row_count() - 1u;
  let lr = thread >> 2u;
  let lc = thread & 3u;
  let at_x = min(row0 + lr, last) * (matrix.inner >> 4u) + lc;
  let at_y = min(row0 + lr + 64u, last) * (matrix.inner >> 4u) + lc;
  let wr = thread & 127u;
  let wb = thread >> 7u;
  let row_w = tile_row(group.y, wr);
  let at_s = min(row0 + wr, last) * steps;
  let at = min(begin, steps - 1u);
  var x0 = x[at_x + 4u * at];
  var x1 = x[at_y + 4u * at];
  var w = load_weights(row_w, 2u * at + wb);
  var f: vec4<f32>;
  if (wb == 0u) { f = scales_of(load_scales(row_w, at)); } else { f = x_scales[at_s + at]; }
  var s: Sums;
  for (var t = begin; t < end; t++) {
    let to = t & 1u;
    tile_x[to][lr >> 4u][lr & 15u][lc] = x0;
    tile_x[to][(lr >> 4u) + 4u][lr & 15u][lc] = x1;
    tile_w[to][wr >> 4u][wr & 15u][2u * wb] = signed_low(w);
    tile_w[to][wr >> 4u][wr & 15u][2u * wb + 1u] = signed_high(w);
    if (wb == 0u) { tile_w[to][wr >> 4u][wr & 15u][4] = bitcast<vec4<u32>>(f); } else { tile_x[to][wr >> 4u][wr & 15u][4] = bitcast<vec4<u32>>(f); }
    workgroupBarrier();
    let next = min(t + 1u, steps - 1u);
    x0 = x[at_x + 4u * next];
    x1 = x[at_y + 4u * next];
    w = load_weights(row_w, 2u * next + wb);
    if (wb == 0u) { f = scales_of(load_scales(row_w, next)); } else { f = x_scales[at_s + next]; }
    s = step_of(s, to, ty, tx, 0u);
    s = step_of(s, to, ty, tx, 1u);
  }
  store_tile(row0 + ty, group.y, tx, s);
}
