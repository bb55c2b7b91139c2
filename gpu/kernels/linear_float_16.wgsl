// linear for up to 16 rows of f32 activations, f32 FMA. A workgroup makes 8 rows, or 16 in two groups, x 128 outputs: a lane is four outputs 32
// apart, so that the weights go from memory to registers as they lie there, and the activations, staged in workgroup memory, are the same for all lanes. 4 slices
// take turns at blocks of K; K may also be split over z. tile_*.wgsl defines Raw, load_raw and eight_of: 8 weights of a row as they are loaded and as floats.
// Twin: wasm/model/src/linear.
override row_groups: u32; // 1 or 2
override threads: u32;    // 128 * row_groups

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>; // [rows][inner / 4]
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

const tile_columns = 128u;
// Activations, [group][slice][unit][row], a row more against bank conflicts; in the end the sums of row 2 i + j, [group][i][lane & 7][4 j + lane / 8].
var<workgroup> tile: array<array<array<array<vec4<f32>, 9>, 8>, 4>, row_groups>;

struct Four { a: Raw, b: Raw, c: Raw, d: Raw }
// Weights of the four outputs for 8 values of K.
struct Columns { k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>, k4: vec4<f32>, k5: vec4<f32>, k6: vec4<f32>, k7: vec4<f32> }

fn load_four(o: vec4<u32>, eighth: u32) -> Four { return Four(load_raw(o.x, eighth), load_raw(o.y, eighth), load_raw(o.z, eighth), load_raw(o.w, eighth)); }
fn columns_of(f: Four) -> Columns {
  let a = eight_of(f.a);
  let b = eight_of(f.b);
  let c = eight_of(f.c);
  let d = eight_of(f.d);
  return Columns(vec4<f32>(a.low.x, b.low.x, c.low.x, d.low.x), vec4<f32>(a.low.y, b.low.y, c.low.y, d.low.y), vec4<f32>(a.low.z, b.low.z, c.low.z, d.low.z),
    vec4<f32>(a.low.w, b.low.w, c.low.w, d.low.w), vec4<f32>(a.high.x, b.high.x, c.high.x, d.high.x), vec4<f32>(a.high.y, b.high.y, c.high.y, d.high.y),
    vec4<f32>(a.high.z, b.high.z, c.high.z, d.high.z), vec4<f32>(a.high.w, b.high.w, c.high.w, d.high.w));
}
// Adds what 8 values of K bring to one row.
fn row_of(s: vec4<f32>, x: vec4<f32>, y: vec4<f32>, w: Columns) -> vec4<f32> {
  let low = fma(vec4<f32>(x.w), w.k3, fma(vec4<f32>(x.z), w.k2, fma(vec4<f32>(x.y), w.k1, fma(vec4<f32>(x.x), w.k0, s))));
  return fma(vec4<f32>(y.w), w.k7, fma(vec4<f32>(y.z), w.k6, fma(vec4<f32>(y.y), w.k5, fma(vec4<f32>(y.x), w.k4, low))));
}
fn leave(g: u32, i: u32, lane: u32, j: u32, first: bool, v: vec4<f32>) {
  if (first) { tile[g][i][lane & 7u][j + (lane >> 3u)] = v; } else { tile[g][i][lane & 7u][j + (lane >> 3u)] += v; }
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread & 31u;
  let slice = (thread >> 5u) & 3u;
  let g = thread >> 7u;
  let row0 = (workgroup.x * row_groups + g) * 8u;
  let blocks = matrix.inner >> 5u;
  let steps = (blocks + 3u) >> 2u;
  let per = (steps + workgroups.z - 1u) / workgroups.z;
  let begin = min(workgroup.z * per, steps);
  let end = min(begin + per, steps);
  plane = workgroup.z;
  let o = vec4<u32>(tile_row(workgroup.y, lane), tile_row(workgroup.y, lane + 32u), tile_row(workgroup.y, lane + 64u), tile_row(workgroup.y, lane + 96u));
  // What this thread brings: 4 values of K of rows `slice` and `slice + 4` of its group; past the end of K zeros.
  let units = matrix.inner >> 2u;
  let last = row_count() - 1u;
  let at_x = min(row0 + slice, last) * units;
  let at_y = min(row0 + slice + 4u, last) * units;
  var u = min(32u * begin + lane, units - 1u);
  var x0 = x[at_x + u];
  var x1 = x[at_y + u];
  var block = min(4u * begin + slice, blocks - 1u);
  var next = load_four(o, 4u * block);
  var a0: vec4<f32>; var a1: vec4<f32>; var a2: vec4<f32>; var a3: vec4<f32>; var a4: vec4<f32>; var a5: vec4<f32>; var a6: vec4<f32>; var a7: vec4<f32>;
  for (var t = begin; t < end; t++) {
    let inside = select(0.0, 1.0, 32u * t + lane < units);
    workgroupBarrier();
    tile[g][lane >> 3u][lane & 7u][slice] = x0 * inside;
    tile[g][lane >> 3u][lane & 7u][slice + 4u] = x1 * inside;
    workgroupBarrier();
    u = min(32u * (t + 1u) + lane, units - 1u);
    x0 = x[at_x + u];
    x1 = x[at_y + u];
    let following = min(4u * (t + 1u) + slice, blocks - 1u);
    var w = columns_of(next);
    next = load_four(o, 4u * block + 1u);
    a0 = row_of(a0, tile[g][slice][0][0], tile[g][slice][1][0], w);
    a1 = row_of(a1, tile[g][slice][0][1], tile[g][slice][1][1], w);
    a2 = row_of(a2, tile[g][slice][0][2], tile[g][slice][1][2], w);
    a3 = row_of(a3, tile[g][slice][0][3], tile[g][slice][1][3], w);
    a4 = row_of(a4, tile[g][slice][0][4], tile[g][slice][1][4], w);
    a5 = row_of(a5, tile[g][slice][0][5], tile[g][slice][1][5], w);
    a6 = row_of(a6, tile[g][slice][0][6], tile[g][slice][1][6], w);
    a7 = row_of(a7, tile[g][slice][0][7], tile[g][slice][1][7], w);
    w = columns_of(next);
    next = load_four(o, 4u * block + 2u);
    a0 = row_of(a0, tile[g][slice][2][0], tile[g][slice][3][0], w);
    a1 = row_of(a1, tile[g][slice][2][1], tile[g][slice][3][1], w);
    a2 = row_of(a2, tile[g][slice][2][2], tile[g][slice][3][2], w);
    a3 = row_of(a3, tile[g][slice][2][3], tile[g][slice][3][3], w);
    a4 = row_of(a4, tile[g][slice][2][4], tile[g][slice][3][4], w);
    a5 = row_of(a5, tile[g][slice][2][5], tile[g][slice][3][5], w);
    a6 = row_of(a6, tile[g][slice][2][6], tile[g][slice][3][6], w);
    a7 = row_of(a7, tile[g][slice][2][7], tile[g][slice][3][7], w);
    w = columns_of(next);
    next = load_four(o, 4u * block + 3u);
    a0 = row_of(a0, tile[g][slice][4][0], tile[g][slice][5][0], w);
    a1 = row_of(a1, tile[g][slice][4][1], tile[g][slice][5][1], w);
    a2 = row_of(a2, tile[g][slice][4][2], tile[g][slice][5][2], w);
    a3 = row_of(a3, tile[g][slice][4][3], tile[g][slice][5][3], w);
    a4 = row_of(a4, tile[g][slice][4][4], tile[g][slice][5][4], w);
    a5 = row_of(a5, tile[g][slice][4][5], tile[g][slice][5][5], w);
    a6 = row_of(a6, tile[g][slice][4][6], tile[g][slice][5][6], w);
    a7 = row_of(a7, tile[g][slice][4][7], tile[g][slice][5][7], w);
    w = columns_of(next);
    next = load_four(o, 4u * following);
    a0 = row_of(a0, tile[g][slice][6][0], tile[g][slice][7][0], w);
    a1 = row_of(a1, tile[g][slice][6][1], tile[g][slice][7][1], w);
    a2 = row_of(a2, tile[g][slice][6][2], tile[g][slice][7][2], w);
    a3 = row_of(a3, tile[g][slice][6][3], tile[g][slice][7][3], w);
    a4 = row_of(a4, tile[g][slice][6][4], tile[g][slice][7][4], w);
    a5 = row_of(a5, tile[g][slice][6][5], tile[g][slice][7][5], w);
    a6 = row_of(a6, tile[g][slice][6][6], tile[g][slice][7][6], w);
    a7 = row_of(a7, tile[g][slice][6][7], tile[g][slice][7][7], w);
    block = following;
  }
  for (var s = 0u; s < 4u; s++) {
    workgroupBarrier();
    if (slice == s) {
      leave(g, 0u, lane, 0u, s == 0u, a0); leave(g, 0u, lane, 4u, s == 0u, a1); leave(g, 1u, lane, 0u, s == 0u, a2); leave(g, 1u, lane, 4u, s == 0u, a3);
      leave(g, 2u, lane, 0u, s == 0u, a4); leave(g, 2u, lane, 4u, s == 0u, a5); leave(g, 3u, lane, 0u, s == 0u, a6); leave(g, 3u, lane, 4u, s == 0u, a7);
    }
  }
  workgroupBarrier();
  for (var r = slice; r < 8u; r += 4u) {
    let v = tile[g][r >> 1u][lane & 7u][4u * (r & 1u) + (lane >> 3u)];
    if (matrix.gated == 0u) {
      finish(row0 + r, workgroup.y, lane, v.x);
      finish(row0 + r, workgroup.y, lane + 32u, v.y);
      finish(row0 + r, workgroup.y, lane + 64u, v.z);
      finish(row0 + r, workgroup.y, lane + 96u, v.w);
    } else {
      finish_gated(row0 + r, workgroup.y, lane, v.x, v.z);
      finish_gated(row0 + r, workgroup.y, lane + 32u, v.y, v.w);
    }
  }
}
