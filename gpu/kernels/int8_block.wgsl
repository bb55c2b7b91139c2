// Packed dot products of 4 rows of activations with one output's block of 32 weights. The integer sums start at 0x4b400000, the bits of 1.5 * 2^23: read as a
// float that is 12582912 + sum, so one subtraction replaces the conversion. The format's part (int8_*.wgsl) defines has_min and two_scales.
struct Rows { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }

fn dots(x: vec4<u32>, w: vec4<u32>, sum: i32) -> i32 {
  return sum + dot4I8Packed(x.x, w.x) + dot4I8Packed(x.y, w.y) + dot4I8Packed(x.z, w.z) + dot4I8Packed(x.w, w.w);
}
fn dots_of(r: Rows, w: vec4<u32>, d: vec4<i32>) -> vec4<i32> { return vec4<i32>(dots(r.a, w, d.x), dots(r.b, w, d.y), dots(r.c, w, d.z), dots(r.d, w, d.w)); }
fn scaled(c: vec4<f32>, d: vec4<i32>, sx: vec4<f32>, scale: f32) -> vec4<f32> { return fma(bitcast<vec4<f32>>(d) - 12582912.0, sx * scale, c); }
// Adds to 4 results of one output what the block brings: p and q are the halves of the rows, w0 and w1 those of the weights, sx and sums the scales of the rows
// and their scaled sums; f: the output's scale and minimum, or the scales of the two halves.
fn block_of(c: vec4<f32>, p: Rows, q: Rows, w0: vec4<u32>, w1: vec4<u32>, sx: vec4<f32>, sums: vec4<f32>, f: vec2<f32>) -> vec4<f32> {
  let none = vec4<i32>(0x4b400000);
  let first = dots_of(p, w0, none);
  if (two_scales) { return scaled(scaled(c, first, sx, f.x), dots_of(q, w1, none), sx, f.y); }
  let sum = scaled(c, dots_of(q, w1, first), sx, f.x);
  if (has_min) { return fma(sums, vec4<f32>(f.y), sum); }
  return sum;
}
