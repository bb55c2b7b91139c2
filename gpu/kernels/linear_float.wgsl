// linear for many rows of f32 activations: tiles of 128 rows x 128 outputs over K in steps of 16, f32 FMA; weights are widened on their way to workgroup memory.
// A thread makes 8 x 8 results: rows ty + 16 i, outputs tx + 16 j; a subgroup of 32 covers 8 outputs x 4 rows. Two buffers of workgroup memory, so one barrier
// a step; the next step's loads are issued before this step is computed. Workgroup memory is nested [buffer][i][ty or tx][unit], so that only buffer, ty and tx
// are dynamic indices; a fifth unit keeps neighbouring rows on different banks. tile_*.wgsl defines load_eight: 8 weights of a row. K may be split over z.
// Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>; // [rows][inner / 4]
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

alias Tile = array<array<array<vec4<f32>, 5>, 16>, 8>;
var<workgroup> tile_x: array<Tile, 2>;
var<workgroup> tile_w: array<Tile, 2>;

struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32> }
struct Sums { c0: Eight, c1: Eight, c2: Eight, c3: Eight, c4: Eight, c5: Eight, c6: Eight, c7: Eight }

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
fn unit_of(s: Sums, at: u32, ty: u32, tx: u32, u: u32) -> Sums {
  let r = Rows(tile_x[at][0][ty][u], tile_x[at][1][ty][u], tile_x[at][2][ty][u], tile_x[at][3][ty][u], tile_x[at][4][ty][u], tile_x[at][5][ty][u],
    tile_x[at][6][ty][u], tile_x[at][7][ty][u]);
  return Sums(four_of(s.c0, r, tile_w[at][0][tx][u]), four_of(s.c1, r, tile_w[at][1][tx][u]), four_of(s.c2, r, tile_w[at][2][tx][u]),
    four_of(s.c3, r, tile_w[at][3][tx][u]), four_of(s.c4, r, tile_w[at][4][tx][u]), four_of(s.c5, r, tile_w[at][5][tx][u]),
    four_of(s.c6, r, tile_w[at][6][tx][u]), four_of(s.c7, r, tile_w[at][7][tx][u]));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  // Tiles of rows are x, the fastest: workgroups that run together share the weights, which are read from memory once.
  let row0 = group.x * 128u;
  let tx = (thread & 7u) | (((thread >> 5u) & 1u) << 3u);
  let ty = ((thread >> 3u) & 3u) | ((thread >> 6u) << 2u);
  let steps = matrix.inner >> 4u;
  let per = (steps + groups.z - 1u) / groups.z;
  let begin = min(group.z * per, steps);
  let end = min(begin + per, steps);
  plane = group.z;
  // What this thread brings: 8 values of row lr and of output lr.
  let lr = thread >> 1u;
  let lc = thread & 1u;
  let at_x = min(row0 + lr, row_count() - 1u) * (matrix.inner >> 2u) + 2u * lc;
  let row_w = tile_row(group.y, lr);
  let at = min(begin, steps - 1u);
  var x0 = x[at_x + 4u * at];
  var x1 = x[at_x + 4u * at + 1u];
  var w = load_eight(row_w, 2u * at + lc);
  var s: Sums;
  for (var t = begin; t < end; t++) {
    let to = t & 1u;
    tile_x[to][lr >> 4u][lr & 15u][2u * lc] = x0;
    tile_x[to][lr >> 4u][lr & 15u][2u * lc + 1u] = x1;
    tile_w[to][lr >> 4u][lr & 15u][2u * lc] = w.low;
    tile_w[to][lr >> 4u][lr & 15u][2u * lc + 1u] = w.high;
    workgroupBarrier();
    let next = min(t + 1u, steps - 1u);
    x0 = x[at_x + 4u * next];
    x1 = x[at_x + 4u * next + 1u];
    w = load_eight(row_w, 2u * next + lc);
    s = unit_of(s, to, ty, tx, 0u);
    s = unit_of(s, to, ty, tx, 1u);
    s = unit_of(s, to, ty, tx, 2u);
    s = unit_of(s, to, ty, tx, 3u);
  }
  store_tile(row0 + ty, group.y, tx, s);
}
