// linear for some tens of rows of f32 activations: tiles of 32 rows x 128 outputs over K in steps of 16, f32 FMA. A thread makes 8 x 4 results (rows ty + 4 i,
// outputs tx + 32 j); a subgroup of 32 covers 8 outputs x 4 rows, in lanes such that neighbours, or neighbours but one, read the same unit. Workgroup memory is nested
// [unit][j][tx] and has one buffer, so that several workgroups share a multiprocessor. K is split over z so that there are enough of them. Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>; // [rows][inner / 4]
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

var<workgroup> tile_x: array<array<array<vec4<f32>, 4>, 8>, 4>;
var<workgroup> tile_w: array<array<array<vec4<f32>, 32>, 4>, 4>;

struct Sums { c0: Eight, c1: Eight, c2: Eight, c3: Eight }
struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32> }

// Adds to 8 results of one output what 4 values of K bring.
fn four_of(c: Eight, r: Rows, w: vec4<f32>) -> Eight {
  var low = fma(vec4<f32>(r.a.x, r.b.x, r.c.x, r.d.x), vec4<f32>(w.x), c.low);
  var high = fma(vec4<f32>(r.e.x, r.f.x, r.g.x, r.h.x), vec4<f32>(w.x), c.high);
  low = fma(vec4<f32>(r.a.y, r.b.y, r.c.y, r.d.y), vec4<f32>(w.y), low);
  high = fma(vec4<f32>(r.e.y, r.f.y, r.g.y, r.h.y), vec4<f32>(w.y), high);
  low = fma(vec4<f32>(r.a.z, r.b.z, r.c.z, r.d.z), vec4<f32>(w.z), low);
  high = fma(vec4<f32>(r.e.z, r.f.z, r.g.z, r.h.z), vec4<f32>(w.z), high);
  low = fma(vec4<f32>(r.a.w, r.b.w, r.c.w, r.d.w), vec4<f32>(w.w), low);
  high = fma(vec4<f32>(r.e.w, r.f.w, r.g.w, r.h.w), vec4<f32>(w.w), high);
  return Eight(low, high);
}
fn unit_of(s: Sums, ty: u32, tx: u32, u: u32) -> Sums {
  let r = Rows(tile_x[u][0][ty], tile_x[u][1][ty], tile_x[u][2][ty], tile_x[u][3][ty], tile_x[u][4][ty], tile_x[u][5][ty], tile_x[u][6][ty], tile_x[u][7][ty]);
  return Sums(four_of(s.c0, r, tile_w[u][0][tx]), four_of(s.c1, r, tile_w[u][1][tx]), four_of(s.c2, r, tile_w[u][2][tx]), four_of(s.c3, r, tile_w[u][3][tx]));
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.x * 32u;
  let tx = (thread & 1u) | ((thread >> 1u) & 6u) | ((thread >> 5u) << 3u);
  let ty = ((thread >> 1u) & 1u) | ((thread >> 3u) & 2u);
  let steps = matrix.inner >> 4u;
  let per = (steps + groups.z - 1u) / groups.z;
  let begin = min(group.z * per, steps);
  let end = min(begin + per, steps);
  plane = group.z;
  // What this thread brings: 4 values of row lr, 16 values of output `thread`.
  let lr = thread >> 2u;
  let lc = thread & 3u;
  let at_x = min(row0 + lr, row_count() - 1u) * (matrix.inner >> 2u) + lc;
  let row_w = tile_row(group.y, thread);
  let at = min(begin, steps - 1u);
  var x0 = x[at_x + 4u * at];
  var w0 = load_eight(row_w, 2u * at);
  var w1 = load_eight(row_w, 2u * at + 1u);
  var s: Sums;
  for (var t = begin; t < end; t++) {
    workgroupBarrier();
    tile_x[lc][lr >> 2u][lr & 3u] = x0;
    tile_w[0][thread >> 5u][thread & 31u] = w0.low;
    tile_w[1][thread >> 5u][thread & 31u] = w0.high;
    tile_w[2][thread >> 5u][thread & 31u] = w1.low;
    tile_w[3][thread >> 5u][thread & 31u] = w1.high;
    workgroupBarrier();
    let next = min(t + 1u, steps - 1u);
    x0 = x[at_x + 4u * next];
    w0 = load_eight(row_w, 2u * next);
    w1 = load_eight(row_w, 2u * next + 1u);
    s = unit_of(s, ty, tx, 0u);
    s = unit_of(s, ty, tx, 1u);
    s = unit_of(s, ty, tx, 2u);
    s = unit_of(s, ty, tx, 3u);
  }
  store_tile(row0 + ty, group.y, tx, s);
}
