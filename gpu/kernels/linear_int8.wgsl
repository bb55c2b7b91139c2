// linear for many rows of int8 activations and quantized weights: tiles of 64 rows x 128 outputs over K in steps of 64, packed dot products.
// A thread makes 4 x 16 results: rows ty + 16 i, outputs tx + 8 j. Four rows take few registers, so that three workgroups share a multiprocessor and compute while
// others wait; a subgroup of 32 covers 8 outputs x 4 rows, in lanes such that neighbours, or neighbours but one, read the same unit. The next step's loads are
// issued before this step is computed. Workgroup memory is nested [i or j][ty or tx][unit], so that only ty and tx are dynamic indices; a fifth unit keeps
// neighbouring rows on different banks, and holds what the two blocks of the step are multiplied with. K may be split over z.
// The format's part (int8_*.wgsl) defines Weights, load_weights, signed_low and signed_high (the signed bytes of a block), load_scales and scales_of; sums are made in int8_block.wgsl.
// Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<u32>>;        // [rows][inner / 16]
@group(0) @binding(5) var<storage, read> x_scales: array<vec4<f32>>; // [rows][inner / 64] scale, scale * sum of two blocks
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

var<workgroup> tile_x: array<array<array<vec4<u32>, 5>, 16>, 4>;
var<workgroup> tile_w: array<array<array<vec4<u32>, 5>, 8>, 16>;

struct Sums { c0: vec4<f32>, c1: vec4<f32>, c2: vec4<f32>, c3: vec4<f32>, c4: vec4<f32>, c5: vec4<f32>, c6: vec4<f32>, c7: vec4<f32>, c8: vec4<f32>, c9: vec4<f32>, c10: vec4<f32>, c11: vec4<f32>, c12: vec4<f32>, c13: vec4<f32>, c14: vec4<f32>, c15: vec4<f32> }
// A block of the thread's rows: both halves, scales, and scaled sums.
struct Activations { p: Rows, q: Rows, scales: vec4<f32>, sums: vec4<f32> }

fn factor_of(unit: vec4<u32>, b: u32) -> vec2<f32> { return bitcast<vec2<f32>>(select(unit.xy, unit.zw, b == 1u)); }
fn activations_of(ty: u32, b: u32) -> Activations {
  let u = 2u * b;
  let v = u + 1u;
  let f0 = factor_of(tile_x[0][ty][4], b);
  let f1 = factor_of(tile_x[1][ty][4], b);
  let f2 = factor_of(tile_x[2][ty][4], b);
  let f3 = factor_of(tile_x[3][ty][4], b);
  return Activations(Rows(tile_x[0][ty][u], tile_x[1][ty][u], tile_x[2][ty][u], tile_x[3][ty][u]),
    Rows(tile_x[0][ty][v], tile_x[1][ty][v], tile_x[2][ty][v], tile_x[3][ty][v]), vec4<f32>(f0.x, f1.x, f2.x, f3.x), vec4<f32>(f0.y, f1.y, f2.y, f3.y));
}
fn output_of(c: vec4<f32>, x: Activations, tx: u32, j: u32, b: u32) -> vec4<f32> {
  return block_of(c, x.p, x.q, tile_w[j][tx][2u * b], tile_w[j][tx][2u * b + 1u], x.scales, x.sums, factor_of(tile_w[j][tx][4], b));
}
fn step_of(s: Sums, ty: u32, tx: u32, b: u32) -> Sums {
  let x = activations_of(ty, b);
  return Sums(output_of(s.c0, x, tx, 0u, b), output_of(s.c1, x, tx, 1u, b), output_of(s.c2, x, tx, 2u, b), output_of(s.c3, x, tx, 3u, b),
    output_of(s.c4, x, tx, 4u, b), output_of(s.c5, x, tx, 5u, b), output_of(s.c6, x, tx, 6u, b), output_of(s.c7, x, tx, 7u, b),
    output_of(s.c8, x, tx, 8u, b), output_of(s.c9, x, tx, 9u, b), output_of(s.c10, x, tx, 10u, b), output_of(s.c11, x, tx, 11u, b),
    output_of(s.c12, x, tx, 12u, b), output_of(s.c13, x, tx, 13u, b), output_of(s.c14, x, tx, 14u, b), output_of(s.c15, x, tx, 15u, b));
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  // Tiles of rows are x, the fastest: workgroups that run together share the weights, which are read from memory once.
  let row0 = group.x * 64u;
  let tx = (thread & 1u) | ((thread >> 1u) & 6u);
  let ty = ((thread >> 1u) & 1u) | ((thread >> 3u) & 2u) | ((thread >> 5u) << 2u);
  let steps = matrix.inner >> 6u;
  let per = (steps + groups.z - 1u) / groups.z;
  let begin = min(group.z * per, steps);
  let end = min(begin + per, steps);
  plane = group.z;
  // What this thread brings: a unit of rows lr and lr + 32; both blocks of an output, and their factors; the factors of row `thread`, if there is one.
  let last = row_count() - 1u;
  let lr = thread >> 2u;
  let lc = thread & 3u;
  let at_x = min(row0 + lr, last) * (matrix.inner >> 4u) + lc;
  let at_y = min(row0 + lr + 32u, last) * (matrix.inner >> 4u) + lc;
  let at_f = min(row0 + (thread & 63u), last) * steps;
  let row_w = tile_row(group.y, thread);
  let at = min(begin, steps - 1u);
  var x0 = x[at_x + 4u * at];
  var x1 = x[at_y + 4u * at];
  var f = x_scales[at_f + at];
  var w0 = load_weights(row_w, 2u * at);
  var w1 = load_weights(row_w, 2u * at + 1u);
  var ws = load_scales(row_w, at);
  var s: Sums;
  for (var t = begin; t < end; t++) {
    workgroupBarrier();
    tile_x[lr >> 4u][lr & 15u][lc] = x0;
    tile_x[(lr >> 4u) + 2u][lr & 15u][lc] = x1;
    if (thread < 64u) { tile_x[thread >> 4u][thread & 15u][4] = bitcast<vec4<u32>>(f); }
    tile_w[thread >> 3u][thread & 7u][0] = signed_low(w0);
    tile_w[thread >> 3u][thread & 7u][1] = signed_high(w0);
    tile_w[thread >> 3u][thread & 7u][2] = signed_low(w1);
    tile_w[thread >> 3u][thread & 7u][3] = signed_high(w1);
    tile_w[thread >> 3u][thread & 7u][4] = bitcast<vec4<u32>>(scales_of(ws));
    workgroupBarrier();
    let next = min(t + 1u, steps - 1u);
    x0 = x[at_x + 4u * next];
    x1 = x[at_y + 4u * next];
    f = x_scales[at_f + next];
    w0 = load_weights(row_w, 2u * next);
    w1 = load_weights(row_w, 2u * next + 1u);
    ws = load_scales(row_w, next);
    s = step_of(s, ty, tx, 0u);
    s = step_of(s, ty, tx, 1u);
  }
  store_tile(row0 + ty, group.y, tx, s);
}
