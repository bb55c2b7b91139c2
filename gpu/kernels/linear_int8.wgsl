// linear for many rows of int8 activations and quantized weights: tiles of 128 rows x 128 outputs over K in steps of 64, packed dot products.
// A thread makes 8 x 8 results: rows ty + 16 i, outputs tx + 16 j. Two buffers of workgroup memory, so one barrier a step; the next step's loads are issued
// before this step is computed. Workgroup memory is nested [buffer][i][ty or tx][unit], so that only buffer, ty and tx are dynamic indices; a row's fifth unit
// holds its two scales and keeps neighbouring rows on different banks. The integer sum starts at 0x4b400000, the bits of 1.5 * 2^23: read as a float it is
// 12582912 + sum, so one subtraction replaces the conversion. The format's part (tile_*.wgsl) defines Weights, load_weights and signed bytes of a block.
override inner: u32;  // a multiple of 64
override blocks: u32;
override rows: u32;   // outputs of this chunk
override first: u32;
override stride: u32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<vec4<u32>>;        // [rows][inner / 16]
@group(0) @binding(4) var<storage, read> x_scales: array<vec2<f32>>; // [rows][inner / 64] pairs
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

alias Tile = array<array<array<vec4<u32>, 5>, 16>, 8>;
var<workgroup> tile_x: array<Tile, 2>;
var<workgroup> tile_w: array<Tile, 2>;

struct Rows { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>, e: vec4<u32>, f: vec4<u32>, g: vec4<u32>, h: vec4<u32> }
struct Eight { low: vec4<f32>, high: vec4<f32> }

fn dots(x: vec4<u32>, w: vec4<u32>, sum: i32) -> i32 {
  return sum + dot4I8Packed(x.x, w.x) + dot4I8Packed(x.y, w.y) + dot4I8Packed(x.z, w.z) + dot4I8Packed(x.w, w.w);
}
// Adds to 8 results of one output what one block of 32 values brings.
fn block_of(c: Eight, p: Rows, q: Rows, w0: vec4<u32>, w1: vec4<u32>, sx: Eight, sw: f32) -> Eight {
  let o = 0x4b400000;
  let low = vec4<i32>(dots(q.a, w1, dots(p.a, w0, o)), dots(q.b, w1, dots(p.b, w0, o)), dots(q.c, w1, dots(p.c, w0, o)), dots(q.d, w1, dots(p.d, w0, o)));
  let high = vec4<i32>(dots(q.e, w1, dots(p.e, w0, o)), dots(q.f, w1, dots(p.f, w0, o)), dots(q.g, w1, dots(p.g, w0, o)), dots(q.h, w1, dots(p.h, w0, o)));
  return Eight(fma(bitcast<vec4<f32>>(low) - 12582912.0, sx.low * sw, c.low), fma(bitcast<vec4<f32>>(high) - 12582912.0, sx.high * sw, c.high));
}
fn rows_of(at: u32, ty: u32, unit: u32) -> Rows {
  return Rows(tile_x[at][0][ty][unit], tile_x[at][1][ty][unit], tile_x[at][2][ty][unit], tile_x[at][3][ty][unit], tile_x[at][4][ty][unit], tile_x[at][5][ty][unit],
    tile_x[at][6][ty][unit], tile_x[at][7][ty][unit]);
}
fn scale_at(at: u32, i: u32, ty: u32) -> vec2<f32> { return bitcast<vec2<f32>>(tile_x[at][i][ty][4].xy); }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  // Tiles of rows are x, the fastest: workgroups that run together share the weights, which are read from memory once.
  let row0 = group.x * 128u;
  let out0 = group.y * 128u;
  let tx = (thread & 7u) | (((thread >> 5u) & 1u) << 3u);
  let ty = ((thread >> 3u) & 3u) | ((thread >> 6u) << 2u);
  let count = row_count();
  let steps = inner >> 6u;
  // What this thread brings: 4 units of rows lr and lr + 64; one block of output wr; the scales of a row or of an output.
  let lr = thread >> 2u;
  let lc = thread & 3u;
  var at_x = min(row0 + lr, count - 1u) * (inner >> 4u) + lc;
  var at_x2 = min(row0 + lr + 64u, count - 1u) * (inner >> 4u) + lc;
  let wr = thread & 127u;
  let wb = thread >> 7u;
  let row_w = min(out0 + wr, rows - 1u);
  let at_s = min(row0 + wr, count - 1u) * steps;
  var x0 = x[at_x];
  var x1 = x[at_x2];
  var w = load_weights(row_w, wb);
  var s = vec2<f32>(0.0);
  if (wb == 0u) { s = unpack2x16float(scales[scale_index(row_w, 0u)]); } else { s = x_scales[at_s]; }
  var c0: Eight; var c1: Eight; var c2: Eight; var c3: Eight; var c4: Eight; var c5: Eight; var c6: Eight; var c7: Eight;
  var at = 0u;
  for (var t = 0u; t <= steps; t++) {
    if (t < steps) {
      let to = t & 1u;
      tile_x[to][lr >> 4u][lr & 15u][lc] = x0;
      tile_x[to][(lr >> 4u) + 4u][lr & 15u][lc] = x1;
      tile_w[to][wr >> 4u][wr & 15u][2u * wb] = signed_low(w);
      tile_w[to][wr >> 4u][wr & 15u][2u * wb + 1u] = signed_high(w);
      let both = vec4<u32>(bitcast<vec2<u32>>(s), 0u, 0u);
      if (wb == 0u) { tile_w[to][wr >> 4u][wr & 15u][4] = both; } else { tile_x[to][wr >> 4u][wr & 15u][4] = both; }
    }
    workgroupBarrier();
    if (t == steps) { break; }
    let next = min(t + 1u, steps - 1u);
    at = t & 1u;
    x0 = x[at_x + 4u * next];
    x1 = x[at_x2 + 4u * next];
    w = load_weights(row_w, 2u * next + wb);
    if (wb == 0u) { s = unpack2x16float(scales[scale_index(row_w, next)]); } else { s = x_scales[at_s + next]; }
    let s0 = scale_at(at, 0u, ty); let s1 = scale_at(at, 1u, ty); let s2 = scale_at(at, 2u, ty); let s3 = scale_at(at, 3u, ty);
    let s4 = scale_at(at, 4u, ty); let s5 = scale_at(at, 5u, ty); let s6 = scale_at(at, 6u, ty); let s7 = scale_at(at, 7u, ty);
    {
      let p = rows_of(at, ty, 0u);
      let q = rows_of(at, ty, 1u);
      let sx = Eight(vec4<f32>(s0.x, s1.x, s2.x, s3.x), vec4<f32>(s4.x, s5.x, s6.x, s7.x));
      c0 = block_of(c0, p, q, tile_w[at][0][tx][0], tile_w[at][0][tx][1], sx, bitcast<f32>(tile_w[at][0][tx][4].x));
      c1 = block_of(c1, p, q, tile_w[at][1][tx][0], tile_w[at][1][tx][1], sx, bitcast<f32>(tile_w[at][1][tx][4].x));
      c2 = block_of(c2, p, q, tile_w[at][2][tx][0], tile_w[at][2][tx][1], sx, bitcast<f32>(tile_w[at][2][tx][4].x));
      c3 = block_of(c3, p, q, tile_w[at][3][tx][0], tile_w[at][3][tx][1], sx, bitcast<f32>(tile_w[at][3][tx][4].x));
      c4 = block_of(c4, p, q, tile_w[at][4][tx][0], tile_w[at][4][tx][1], sx, bitcast<f32>(tile_w[at][4][tx][4].x));
      c5 = block_of(c5, p, q, tile_w[at][5][tx][0], tile_w[at][5][tx][1], sx, bitcast<f32>(tile_w[at][5][tx][4].x));
      c6 = block_of(c6, p, q, tile_w[at][6][tx][0], tile_w[at][6][tx][1], sx, bitcast<f32>(tile_w[at][6][tx][4].x));
      c7 = block_of(c7, p, q, tile_w[at][7][tx][0], tile_w[at][7][tx][1], sx, bitcast<f32>(tile_w[at][7][tx][4].x));
    }
    {
      let p = rows_of(at, ty, 2u);
      let q = rows_of(at, ty, 3u);
      let sx = Eight(vec4<f32>(s0.y, s1.y, s2.y, s3.y), vec4<f32>(s4.y, s5.y, s6.y, s7.y));
      c0 = block_of(c0, p, q, tile_w[at][0][tx][2], tile_w[at][0][tx][3], sx, bitcast<f32>(tile_w[at][0][tx][4].y));
      c1 = block_of(c1, p, q, tile_w[at][1][tx][2], tile_w[at][1][tx][3], sx, bitcast<f32>(tile_w[at][1][tx][4].y));
      c2 = block_of(c2, p, q, tile_w[at][2][tx][2], tile_w[at][2][tx][3], sx, bitcast<f32>(tile_w[at][2][tx][4].y));
      c3 = block_of(c3, p, q, tile_w[at][3][tx][2], tile_w[at][3][tx][3], sx, bitcast<f32>(tile_w[at][3][tx][4].y));
      c4 = block_of(c4, p, q, tile_w[at][4][tx][2], tile_w[at][4][tx][3], sx, bitcast<f32>(tile_w[at][4][tx][4].y));
      c5 = block_of(c5, p, q, tile_w[at][5][tx][2], tile_w[at][5][tx][3], sx, bitcast<f32>(tile_w[at][5][tx][4].y));
      c6 = block_of(c6, p, q, tile_w[at][6][tx][2], tile_w[at][6][tx][3], sx, bitcast<f32>(tile_w[at][6][tx][4].y));
      c7 = block_of(c7, p, q, tile_w[at][7][tx][2], tile_w[at][7][tx][3], sx, bitcast<f32>(tile_w[at][7][tx][4].y));
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
