// linear for some tens of rows of int8 activations and quantized weights, packed dot products. A workgroup makes 8, 16 or 32 rows x 64 outputs:
// a lane is an output and another one 32 further, so that the weights go from memory to registers as they lie there, and the activations, staged in workgroup
// memory, are the same for all lanes. 4 slices take turns at pairs of blocks of K; K may also be split over z. Format parts as in linear_int8.wgsl.
// Twin: wasm/model/src/linear.
override group_rows: u32; // rows of a thread: 8 or 16
override row_groups: u32; // 1 or 2
override threads: u32;    // 128 * row_groups
override results: u32;    // 32 * group_rows * row_groups

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<u32>>;        // [rows][inner / 16]
@group(0) @binding(5) var<storage, read> x_scales: array<vec4<f32>>; // [rows][inner / 64] scale, scale * sum of two blocks
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

const tile_columns = 64u;
var<workgroup> tile: array<array<array<array<vec4<u32>, 17>, 4>, 4>, row_groups>; // [group][slice][unit][row], a row more against bank conflicts
var<workgroup> factors: array<array<array<vec4<f32>, 16>, 4>, row_groups>;
var<workgroup> sums: array<vec2<f32>, results>; // [row][lane]

// A block of both outputs: their bytes, scales, and minimums (or the scales of the second halves).
struct Both { low0: vec4<u32>, high0: vec4<u32>, low1: vec4<u32>, high1: vec4<u32>, scale: vec2<f32>, minimum: vec2<f32> }

fn dots(x: vec4<u32>, w: vec4<u32>, sum: i32) -> i32 {
  return sum + dot4I8Packed(x.x, w.x) + dot4I8Packed(x.y, w.y) + dot4I8Packed(x.z, w.z) + dot4I8Packed(x.w, w.w);
}
// The sums start at the bits of 1.5 * 2^23 (int8_block.wgsl).
fn as_floats(a: i32, b: i32) -> vec2<f32> { return bitcast<vec2<f32>>(vec2<i32>(a, b)) - 12582912.0; }
// Adds what a block brings to one row; f: the row's scale and scaled sum.
fn row_of(s: vec2<f32>, low: vec4<u32>, high: vec4<u32>, w: Both, f: vec2<f32>) -> vec2<f32> {
  let none = 0x4b400000;
  let a = dots(low, w.low0, none);
  let b = dots(low, w.low1, none);
  if (two_scales) {
    return fma(as_floats(dots(high, w.high0, none), dots(high, w.high1, none)), w.minimum * f.x, fma(as_floats(a, b), w.scale * f.x, s));
  }
  let sum = fma(as_floats(dots(high, w.high0, a), dots(high, w.high1, b)), w.scale * f.x, s);
  if (has_min) { return fma(vec2<f32>(f.y), w.minimum, sum); }
  return sum;
}
fn both_of(w0: Weights, w1: Weights, f0: vec2<f32>, f1: vec2<f32>) -> Both {
  return Both(signed_low(w0), signed_high(w0), signed_low(w1), signed_high(w1), vec2<f32>(f0.x, f1.x), vec2<f32>(f0.y, f1.y));
}
fn leave(at: u32, first: bool, v: vec2<f32>) { if (first) { sums[at] = v; } else { sums[at] += v; } }

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread & 31u;
  let slice = (thread >> 5u) & 3u;
  let g = thread >> 7u;
  let rows = group_rows * row_groups;
  let row0 = workgroup.x * rows;
  let last = row_count() - 1u;
  let pairs = matrix.inner >> 6u;
  let steps = (pairs + 3u) >> 2u;
  let per = (steps + workgroups.z - 1u) / workgroups.z;
  let begin = min(workgroup.z * per, steps);
  let end = min(begin + per, steps);
  plane = workgroup.z;
  let o0 = tile_row(workgroup.y, lane);
  let o1 = tile_row(workgroup.y, lane + 32u);
  // What this thread brings of the activations: unit lu of a row or two, the factors of pair fp of one row.
  let lu = thread & 15u;
  let lr = thread >> 4u;
  let units = matrix.inner >> 4u;
  let at_x = min(row0 + lr, last) * units;
  let ly = lr + 8u * row_groups;
  let at_y = min(row0 + ly, last) * units;
  let fr = (thread >> 2u) & (rows - 1u);
  let fp = thread & 3u;
  let at_f = min(row0 + fr, last) * pairs;
  var x0 = x[at_x + min(16u * begin + lu, units - 1u)];
  var x1: vec4<u32>;
  if (group_rows > 8u) { x1 = x[at_y + min(16u * begin + lu, units - 1u)]; }
  var f = x_scales[at_f + min(4u * begin + fp, pairs - 1u)];
  var pair = min(4u * begin + slice, pairs - 1u);
  var n0 = load_weights(o0, 2u * pair);
  var n1 = load_weights(o1, 2u * pair);
  var s0 = load_scales(o0, pair);
  var s1 = load_scales(o1, pair);
  var a0: vec2<f32>; var a1: vec2<f32>; var a2: vec2<f32>; var a3: vec2<f32>; var a4: vec2<f32>; var a5: vec2<f32>; var a6: vec2<f32>; var a7: vec2<f32>;
  var a8: vec2<f32>; var a9: vec2<f32>; var a10: vec2<f32>; var a11: vec2<f32>; var a12: vec2<f32>; var a13: vec2<f32>; var a14: vec2<f32>; var a15: vec2<f32>;
  for (var t = begin; t < end; t++) {
    workgroupBarrier();
    tile[lr / group_rows][lu >> 2u][lu & 3u][lr % group_rows] = x0;
    if (group_rows > 8u) { tile[ly / group_rows][lu >> 2u][lu & 3u][ly % group_rows] = x1; }
    if (thread < 4u * rows) { factors[fr / group_rows][fp][fr % group_rows] = select(vec4<f32>(0.0), f, 4u * t + fp < pairs); } // past the end nothing is added
    workgroupBarrier();
    let next = min(4u * (t + 1u) + slice, pairs - 1u);
    x0 = x[at_x + min(16u * (t + 1u) + lu, units - 1u)];
    if (group_rows > 8u) { x1 = x[at_y + min(16u * (t + 1u) + lu, units - 1u)]; }
    f = x_scales[at_f + min(4u * (t + 1u) + fp, pairs - 1u)];
    let f0 = scales_of(s0);
    let f1 = scales_of(s1);
    var w = both_of(n0, n1, f0.xy, f1.xy);
    n0 = load_weights(o0, 2u * pair + 1u);
    n1 = load_weights(o1, 2u * pair + 1u);
    a0 = row_of(a0, tile[g][slice][0][0], tile[g][slice][1][0], w, factors[g][slice][0].xy);
    a1 = row_of(a1, tile[g][slice][0][1], tile[g][slice][1][1], w, factors[g][slice][1].xy);
    a2 = row_of(a2, tile[g][slice][0][2], tile[g][slice][1][2], w, factors[g][slice][2].xy);
    a3 = row_of(a3, tile[g][slice][0][3], tile[g][slice][1][3], w, factors[g][slice][3].xy);
    a4 = row_of(a4, tile[g][slice][0][4], tile[g][slice][1][4], w, factors[g][slice][4].xy);
    a5 = row_of(a5, tile[g][slice][0][5], tile[g][slice][1][5], w, factors[g][slice][5].xy);
    a6 = row_of(a6, tile[g][slice][0][6], tile[g][slice][1][6], w, factors[g][slice][6].xy);
    a7 = row_of(a7, tile[g][slice][0][7], tile[g][slice][1][7], w, factors[g][slice][7].xy);
    if (group_rows > 8u) {
      a8 = row_of(a8, tile[g][slice][0][8], tile[g][slice][1][8], w, factors[g][slice][8].xy);
      a9 = row_of(a9, tile[g][slice][0][9], tile[g][slice][1][9], w, factors[g][slice][9].xy);
      a10 = row_of(a10, tile[g][slice][0][10], tile[g][slice][1][10], w, factors[g][slice][10].xy);
      a11 = row_of(a11, tile[g][slice][0][11], tile[g][slice][1][11], w, factors[g][slice][11].xy);
      a12 = row_of(a12, tile[g][slice][0][12], tile[g][slice][1][12], w, factors[g][slice][12].xy);
      a13 = row_of(a13, tile[g][slice][0][13], tile[g][slice][1][13], w, factors[g][slice][13].xy);
      a14 = row_of(a14, tile[g][slice][0][14], tile[g][slice][1][14], w, factors[g][slice][14].xy);
      a15 = row_of(a15, tile[g][slice][0][15], tile[g][slice][1][15], w, factors[g][slice][15].xy);
    }
    w = both_of(n0, n1, f0.zw, f1.zw);
    pair = next;
    n0 = load_weights(o0, 2u * pair);
    n1 = load_weights(o1, 2u * pair);
    s0 = load_scales(o0, pair);
    s1 = load_scales(o1, pair);
    a0 = row_of(a0, tile[g][slice][2][0], tile[g][slice][3][0], w, factors[g][slice][0].zw);
    a1 = row_of(a1, tile[g][slice][2][1], tile[g][slice][3][1], w, factors[g][slice][1].zw);
    a2 = row_of(a2, tile[g][slice][2][2], tile[g][slice][3][2], w, factors[g][slice][2].zw);
    a3 = row_of(a3, tile[g][slice][2][3], tile[g][slice][3][3], w, factors[g][slice][3].zw);
    a4 = row_of(a4, tile[g][slice][2][4], tile[g][slice][3][4], w, factors[g][slice][4].zw);
    a5 = row_of(a5, tile[g][slice][2][5], tile[g][slice][3][5], w, factors[g][slice][5].zw);
    a6 = row_of(a6, tile[g][slice][2][6], tile[g][slice][3][6], w, factors[g][slice][6].zw);
    a7 = row_of(a7, tile[g][slice][2][7], tile[g][slice][3][7], w, factors[g][slice][7].zw);
    if (group_rows > 8u) {
      a8 = row_of(a8, tile[g][slice][2][8], tile[g][slice][3][8], w, factors[g][slice][8].zw);
      a9 = row_of(a9, tile[g][slice][2][9], tile[g][slice][3][9], w, factors[g][slice][9].zw);
      a10 = row_of(a10, tile[g][slice][2][10], tile[g][slice][3][10], w, factors[g][slice][10].zw);
      a11 = row_of(a11, tile[g][slice][2][11], tile[g][slice][3][11], w, factors[g][slice][11].zw);
      a12 = row_of(a12, tile[g][slice][2][12], tile[g][slice][3][12], w, factors[g][slice][12].zw);
      a13 = row_of(a13, tile[g][slice][2][13], tile[g][slice][3][13], w, factors[g][slice][13].zw);
      a14 = row_of(a14, tile[g][slice][2][14], tile[g][slice][3][14], w, factors[g][slice][14].zw);
      a15 = row_of(a15, tile[g][slice][2][15], tile[g][slice][3][15], w, factors[g][slice][15].zw);
    }
  }
  let to = g * 32u * group_rows + lane;
  for (var s = 0u; s < 4u; s++) {
    workgroupBarrier();
    if (slice == s) {
      leave(to + 0u, s == 0u, a0); leave(to + 32u, s == 0u, a1); leave(to + 64u, s == 0u, a2); leave(to + 96u, s == 0u, a3);
      leave(to + 128u, s == 0u, a4); leave(to + 160u, s == 0u, a5); leave(to + 192u, s == 0u, a6); leave(to + 224u, s == 0u, a7);
      if (group_rows > 8u) {
        leave(to + 256u, s == 0u, a8); leave(to + 288u, s == 0u, a9); leave(to + 320u, s == 0u, a10); leave(to + 352u, s == 0u, a11);
        leave(to + 384u, s == 0u, a12); leave(to + 416u, s == 0u, a13); leave(to + 448u, s == 0u, a14); leave(to + 480u, s == 0u, a15);
      }
    }
  }
  workgroupBarrier();
  for (var i = thread; i < results; i += threads) {
    let row = row0 + (i >> 5u);
    if (matrix.gated == 0u) {
      finish(row, workgroup.y, i & 31u, sums[i].x);
      finish(row, workgroup.y, (i & 31u) + 32u, sums[i].y);
    } else {
      keep_gated(i >> 5u, i & 31u, finish_gated(row, workgroup.y, i & 31u, sums[i].x, sums[i].y));
    }
  }
  if (matrix.gated > 0u) {
    workgroupBarrier();
    if (thread < rows && row0 + thread <= last) { leave_kept(thread, (row0 + thread) * (matrix.gated >> 5u) + workgroup.y); }
  }
}
