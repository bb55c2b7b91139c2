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
fn load_block(row: u32, block: u32) -> Block {
  let w = load_weights(row, block);
  let f = pair_scales(row, block >> 1u);
  return Block(signed_low(w), signed_high(w), select(f.xy, f.zw, (block & 1u) == 1u));
}

@compute @workgroup_size(512)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread & 31u;
  let slice = thread >> 5u;
  let row0 = group.y * few;
  var o = 32u * group.x + lane;
  var begin = slice;
  var by = 16u;
  if (matrix.half > 0u) {
    o = 16u * group.x + (lane & 15u);
    begin = 2u * slice + (lane >> 4u);
    by = 32u;
  }
  if (matrix.gated > 0u) {
    o = min(o, matrix.gated - 1u) + select(0u, matrix.gated, slice >= 8u);
    begin = slice & 7u;
    by = 8u;
  }
  o = min(o, matrix.rows - 1u);
  let end = matrix.inner >> 5u;
  var s: Eight;
  var next = load_block(o, min(begin, end - 1u));
  for (var b = begin; b < end; b += by) {
    let w = next;
    next = load_block(o, min(b + by, end - 1u));
    s.low.x += dot_row(w, row0, b);
    if (few > 1u) { s.low.y += dot_row(w, row0 + 1u, b); }
    if (few > 2u) {
      s.low.z += dot_row(w, row0 + 2u, b);
      s.low.w += dot_row(w, row0 + 3u, b);
    }
    if (few > 4u) {
      s.high.x += dot_row(w, row0 + 4u, b);
      s.high.y += dot_row(w, row0 + 5u, b);
      s.high.z += dot_row(w, row0 + 6u, b);
      s.high.w += dot_row(w, row0 + 7u, b);
    }
  }
  leave(thread, s);
  store_rows(group, thread);
}
