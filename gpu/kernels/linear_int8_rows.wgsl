// linear for few rows of int8 activations and quantized weights, packed dot products: as linear_float_rows.wgsl with the format parts of linear_int8.wgsl.
// Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<u32>>;        // [rows][inner / 16]
@group(0) @binding(5) var<storage, read> x_scales: array<vec2<f32>>; // [rows][inner / 32] scale, scale * sum
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

struct Block { low: vec4<u32>, high: vec4<u32>, factor: vec2<f32> }

fn dots(x: vec4<u32>, w: vec4<u32>) -> i32 { return (dot4I8Packed(x.x, w.x) + dot4I8Packed(x.y, w.y)) + (dot4I8Packed(x.z, w.z) + dot4I8Packed(x.w, w.w)); }
fn dot_row(w: Block, row: u32, block: u32) -> f32 {
  let at = min(row, row_count() - 1u) * (matrix.inner >> 5u) + block;
  let f = x_scales[at];
  let low = dots(x[2u * at], w.low);
  let high = dots(x[2u * at + 1u], w.high);
  if (two_scales) { return f.x * (f32(low) * w.factor.x + f32(high) * w.factor.y); }
  var sum = f32(low + high) * (f.x * w.factor.x);
  if (has_min) { sum += f.y * w.factor.y; }
  return sum;
}
fn block_of(w: Weights, s: vec2<u32>, block: u32) -> Block {
  let f = scales_of(s);
  return Block(signed_low(w), signed_high(w), select(f.xy, f.zw, (block & 1u) == 1u));
}

@compute @workgroup_size(512)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread & 31u;
  let slice = thread >> 5u;
  let row0 = group.y * few;
  // A slice takes two blocks at a time: neighbours, or in groups of 16 rows, whose lanes share neighbours, blocks of two pairs.
  var o = 32u * group.x + lane;
  var first = 2u * slice;
  var apart = 1u;
  var by = 32u;
  if (matrix.half > 0u) {
    o = 16u * group.x + (lane & 15u);
    first += lane >> 4u;
    apart = 32u;
    by = 64u;
  }
  if (matrix.gated > 0u) {
    o = min(o, matrix.gated - 1u) + select(0u, matrix.gated, slice >= 8u);
    first = 2u * (slice & 7u);
    by = 16u;
  }
  o = min(o, matrix.rows - 1u);
  let last = (matrix.inner >> 5u) - 1u;
  var s: Eight;
  var a = min(first, last);
  var b = min(first + apart, last);
  var w0 = load_weights(o, a);
  var w1 = load_weights(o, b);
  var f0 = load_scales(o, a >> 1u);
  var f1 = load_scales(o, b >> 1u);
  for (var at = first; at <= last; at += by) {
    let v0 = block_of(w0, f0, a);
    var v1 = block_of(w1, f1, b);
    if (at + apart > last) { v1.factor = vec2<f32>(0.0); } // past the end nothing is added
    let a0 = a;
    let b0 = b;
    a = min(at + by, last);
    b = min(at + by + apart, last);
    w0 = load_weights(o, a);
    w1 = load_weights(o, b);
    f0 = load_scales(o, a >> 1u);
    f1 = load_scales(o, b >> 1u);
    s.low.x += dot_row(v0, row0, a0);
    if (few > 1u) { s.low.y += dot_row(v0, row0 + 1u, a0); }
    if (few > 2u) {
      s.low.z += dot_row(v0, row0 + 2u, a0);
      s.low.w += dot_row(v0, row0 + 3u, a0);
    }
    if (few > 4u) {
      s.high.x += dot_row(v0, row0 + 4u, a0);
      s.high.y += dot_row(v0, row0 + 5u, a0);
      s.high.z += dot_row(v0, row0 + 6u, a0);
      s.high.w += dot_row(v0, row0 + 7u, a0);
    }
    s.low.x += dot_row(v1, row0, b0);
    if (few > 1u) { s.low.y += dot_row(v1, row0 + 1u, b0); }
    if (few > 2u) {
      s.low.z += dot_row(v1, row0 + 2u, b0);
      s.low.w += dot_row(v1, row0 + 3u, b0);
    }
    if (few > 4u) {
      s.high.x += dot_row(v1, row0 + 4u, b0);
      s.high.y += dot_row(v1, row0 + 5u, b0);
      s.high.z += dot_row(v1, row0 + 6u, b0);
      s.high.w += dot_row(v1, row0 + 7u, b0);
    }
  }
  leave(thread, s);
  store_rows(group, thread);
}
