// linear for many rows of f32 activations and bf16, f16 or f32 weights: tiles of 128 rows x 128 outputs over K in steps of 16, f32 FMA.
// Built like linear_int8.wgsl; weights are widened to f32 when they are stored to workgroup memory. The format's part (tile_*.wgsl) defines load_eight:
// 8 weights of a row as two vec4<f32>.
override inner: u32;  // a multiple of 16
override blocks: u32;
override rows: u32;
override first: u32;
override stride: u32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>; // [rows][inner / 4]
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

alias Tile = array<array<array<vec4<f32>, 5>, 16>, 8>;
var<workgroup> tile_x: array<Tile, 2>;
var<workgroup> tile_w: array<Tile, 2>;

struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32> }
struct Eight { low: vec4<f32>, high: vec4<f32> }
struct Weights { low: vec4<f32>, high: vec4<f32> }

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
fn rows_of(at: u32, ty: u32, unit: u32) -> Rows {
  return Rows(tile_x[at][0][ty][unit], tile_x[at][1][ty][unit], tile_x[at][2][ty][unit], tile_x[at][3][ty][unit], tile_x[at][4][ty][unit], tile_x[at][5][ty][unit],
    tile_x[at][6][ty][unit], tile_x[at][7][ty][unit]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.x * 128u;
  let out0 = group.y * 128u;
  let tx = (thread & 7u) | (((thread >> 5u) & 1u) << 3u);
  let ty = ((thread >> 3u) & 3u) | ((thread >> 6u) << 2u);
  let count = row_count();
  let steps = inner >> 4u;
  // What this thread brings: 8 values of row lr and of output lr.
  let lr = thread >> 1u;
  let lc = thread & 1u;
  let at_x = min(row0 + lr, count - 1u) * (inner >> 2u) + 2u * lc;
  let row_w = min(out0 + lr, rows - 1u);
  var x0 = x[at_x];
  var x1 = x[at_x + 1u];
  var w = load_eight(row_w, lc);
  var c0: Eight; var c1: Eight; var c2: Eight; var c3: Eight; var c4: Eight; var c5: Eight; var c6: Eight; var c7: Eight;
  for (var t = 0u; t <= steps; t++) {
    if (t < steps) {
      let to = t & 1u;
      tile_x[to][lr >> 4u][lr & 15u][2u * lc] = x0;
      tile_x[to][lr >> 4u][lr & 15u][2u * lc + 1u] = x1;
      tile_w[to][lr >> 4u][lr & 15u][2u * lc] = w.low;
      tile_w[to][lr >> 4u][lr & 15u][2u * lc + 1u] = w.high;
    }
    workgroupBarrier();
    if (t == steps) { break; }
    let next = min(t + 1u, steps - 1u);
    let at = t & 1u;
    x0 = x[at_x + 4u * next];
    x1 = x[at_x + 4u * next + 1u];
    w = load_eight(row_w, 2u * next + lc);
    for (var u = 0u; u < 4u; u++) {
      let r = rows_of(at, ty, u);
      c0 = four_of(c0, r, tile_w[at][0][tx][u]);
      c1 = four_of(c1, r, tile_w[at][1][tx][u]);
      c2 = four_of(c2, r, tile_w[at][2][tx][u]);
      c3 = four_of(c3, r, tile_w[at][3][tx][u]);
      c4 = four_of(c4, r, tile_w[at][4][tx][u]);
      c5 = four_of(c5, r, tile_w[at][5][tx][u]);
      c6 = four_of(c6, r, tile_w[at][6][tx][u]);
      c7 = four_of(c7, r, tile_w[at][7][tx][u]);
    }
  }
  store_column(row0 + ty, out0 + tx, count, c0);
  store_column(row0 + ty, out0 + tx + 16u, count, c1);
  store_column(row0 + ty, out0 + tx + 32u, count, c2);
  store_column(row0 + ty, out0 + tx + 48u, count, c3);
  store_column(row0 + ty, out0 + tx + 64u, count, c4);
  store_column(row0 + ty, out0 + tx + 80u, count, c5);
  store_column(row0 + ty, out0 + tx + 96u, count, c6);
  store_column(row0 + ty, out0 + tx + 112u, count, c7);
}
