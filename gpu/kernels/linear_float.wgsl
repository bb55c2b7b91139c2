// linear for many rows of f32 activations: tiles of 64 rows x 128 outputs over K in steps of 16, f32 FMA; weights are widened on their way to workgroup memory.
// A thread makes 8 x 8 results. Workgroup memory holds four rows or outputs of one K in a unit, [K / 4][K % 4][unit]: a thread needs no more of them at a time than
// it multiplies at once, so that three workgroups share a multiprocessor, and compute while others wait at their barriers. A subgroup of 32 covers 8 units of outputs
// x 4 of rows, in lanes such that neighbours, or neighbours but one, read the same unit. The next step's loads are issued before this step is computed.
// tile_*.wgsl defines load_eight: 8 weights of a row. K may be split over z. Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>; // [rows][inner / 4]
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

const tile_columns = 128u;
const row_step = 1u;
const half_step = 32u;
// Lanes that store together meet 32 banks: row / 4 is exchanged with K / 4, and the unit of outputs holds output_of(unit) and those 8, 64 and 72 further.
var<workgroup> tile_x: array<array<array<vec4<f32>, 16>, 4>, 4>;
var<workgroup> tile_w: array<array<array<vec4<f32>, 32>, 4>, 4>;

struct Sums { c0: Eight, c1: Eight, c2: Eight, c3: Eight, c4: Eight, c5: Eight, c6: Eight, c7: Eight }

fn output_of(unit: u32) -> u32 { return (unit & 7u) | ((unit >> 3u) << 4u); }
fn leave_x(row: u32, c: u32, v: vec4<f32>) {
  let unit = (row >> 2u) ^ (c << 1u);
  tile_x[c][0][unit][row & 3u] = v.x;
  tile_x[c][1][unit][row & 3u] = v.y;
  tile_x[c][2][unit][row & 3u] = v.z;
  tile_x[c][3][unit][row & 3u] = v.w;
}
fn leave_w(output: u32, c: u32, v: vec4<f32>) {
  let unit = (output & 7u) | (((output >> 4u) & 3u) << 3u);
  let i = ((output >> 3u) & 1u) | ((output >> 6u) << 1u);
  tile_w[c][0][unit][i] = v.x;
  tile_w[c][1][unit][i] = v.y;
  tile_w[c][2][unit][i] = v.z;
  tile_w[c][3][unit][i] = v.w;
}
// Adds to 8 results of one output what one value of K brings.
fn sum_of(sum: Eight, x: Eight, w: f32) -> Eight { return Eight(fma(x.low, vec4<f32>(w), sum.low), fma(x.high, vec4<f32>(w), sum.high)); }
fn k_of(s: Sums, c: u32, k: u32, ty: u32, tx: u32) -> Sums {
  let r = Eight(tile_x[c][k][ty ^ (c << 1u)], tile_x[c][k][(ty + 8u) ^ (c << 1u)]);
  let v = tile_w[c][k][tx];
  let w = tile_w[c][k][tx + 16u];
  return Sums(sum_of(s.c0, r, v.x), sum_of(s.c1, r, v.y), sum_of(s.c2, r, v.z), sum_of(s.c3, r, v.w), sum_of(s.c4, r, w.x), sum_of(s.c5, r, w.y),
    sum_of(s.c6, r, w.z), sum_of(s.c7, r, w.w));
}
fn unit_of(s: Sums, c: u32, ty: u32, tx: u32) -> Sums { return k_of(k_of(k_of(k_of(s, c, 0u, ty, tx), c, 1u, ty, tx), c, 2u, ty, tx), c, 3u, ty, tx); }

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  // Tiles of rows are x, the fastest: workgroups that run together share the weights, which are read from memory once.
  let row0 = group.x * 64u;
  let tx = (thread & 1u) | ((thread >> 1u) & 6u) | (((thread >> 5u) & 1u) << 3u);
  let ty = ((thread >> 1u) & 1u) | ((thread >> 3u) & 2u) | ((thread >> 6u) << 2u);
  let steps = matrix.inner >> 4u;
  let per = (steps + groups.z - 1u) / groups.z;
  let begin = min(group.z * per, steps);
  let end = min(begin + per, steps);
  plane = group.z;
  // What this thread brings: 4 values of rows lr and lr + 32, 16 values of an output; 16 lanes have neighbouring outputs.
  let lr = thread >> 2u;
  let lc = thread & 3u;
  let last = row_count() - 1u;
  let at_x = min(row0 + lr, last) * (matrix.inner >> 2u) + lc;
  let at_y = min(row0 + lr + 32u, last) * (matrix.inner >> 2u) + lc;
  let output = (thread & 15u) | ((thread >> 5u) << 4u) | ((thread & 16u) << 2u);
  let row_w = tile_row(group.y, output);
  let at = min(begin, steps - 1u);
  var x0 = x[at_x + 4u * at];
  var x1 = x[at_y + 4u * at];
  var w0 = load_eight(row_w, 2u * at);
  var w1 = load_eight(row_w, 2u * at + 1u);
  var s: Sums;
  for (var t = begin; t < end; t++) {
    workgroupBarrier();
    leave_x(lr, lc, x0);
    leave_x(lr + 32u, lc, x1);
    leave_w(output, 0u, w0.low);
    leave_w(output, 1u, w0.high);
    leave_w(output, 2u, w1.low);
    leave_w(output, 3u, w1.high);
    workgroupBarrier();
    let next = min(t + 1u, steps - 1u);
    x0 = x[at_x + 4u * next];
    x1 = x[at_y + 4u * next];
    w0 = load_eight(row_w, 2u * next);
    w1 = load_eight(row_w, 2u * next + 1u);
    s = unit_of(s, 0u, ty, tx);
    s = unit_of(s, 1u, ty, tx);
    s = unit_of(s, 2u, ty, tx);
    s = unit_of(s, 3u, ty, tx);
  }
  store_tile(row0 + 4u * ty, group.y, output_of(tx), s);
}

// Gate and up are 64 apart.
fn store_tile(row: u32, y: u32, c: u32, s: Sums) {
  if (matrix.gated == 0u) {
    store_column(row, y, c, s.c0);
    store_column(row, y, c + 8u, s.c1);
    store_column(row, y, c + 64u, s.c2);
    store_column(row, y, c + 72u, s.c3);
    store_column(row, y, c + 32u, s.c4);
    store_column(row, y, c + 40u, s.c5);
    store_column(row, y, c + 96u, s.c6);
    store_column(row, y, c + 104u, s.c7);
  } else {
    store_pair(row, y, c, s.c0, s.c2);
    store_pair(row, y, c + 8u, s.c1, s.c3);
    store_pair(row, y, c + 32u, s.c4, s.c6);
    store_pair(row, y, c + 40u, s.c5, s.c7);
  }
}
