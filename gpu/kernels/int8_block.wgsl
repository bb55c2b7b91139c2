// Packed dot products of 8 rows of activations with one output's block of 32 weights. The integer sums start at 0x4b400000, the bits of 1.5 * 2^23: read as a
// float that is 12582912 + sum, so one subtraction replaces the conversion. The format's part (int8_*.wgsl) defines has_min and two_scales.
struct Rows { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>, e: vec4<u32>, f: vec4<u32>, g: vec4<u32>, h: vec4<u32> }
struct Dots { low: vec4<i32>, high: vec4<i32> }

fn dots(x: vec4<u32>, w: vec4<u32>, sum: i32) -> i32 {
  return sum + dot4I8Packed(x.x, w.x) + dot4I8Packed(x.y, w.y) + dot4I8Packed(x.z, w.z) + dot4I8Packed(x.w, w.w);
}
fn dots_of(r: Rows, w: vec4<u32>, d: Dots) -> Dots {
  return Dots(vec4<i32>(dots(r.a, w, d.low.x), dots(r.b, w, d.low.y), dots(r.c, w, d.low.z), dots(r.d, w, d.low.w)),
    vec4<i32>(dots(r.e, w, d.high.x), dots(r.f, w, d.high.y), dots(r.g, w, d.high.z), dots(r.h, w, d.high.w)));
}
fn scaled(c: Eight, d: Dots, sx: Eight, scale: f32) -> Eight {
  return Eight(fma(bitcast<vec4<f32>>(d.low) - 12582912.0, sx.low * scale, c.low), fma(bitcast<vec4<f32>>(d.high) - 12582912.0, sx.high * scale, c.high));
}
// Adds to 8 results of one output what the block brings: p and q are the halves of the rows, w0 and w1 those of the weights, sx and sums the scales of the rows
// and their scaled sums; f: the output's scale and minimum, or the scales of the two halves.
fn block_of(c: Eight, p: Rows, q: Rows, w0: vec4<u32>, w1: vec4<u32>, sx: Eight, sums: Eight, f: vec2<f32>) -> Eight {
  let none = Dots(vec4<i32>(0x4b400000), vec4<i32>(0x4b400000));
  let first = dots_of(p, w0, none);
  if (two_scales) { return scaled(scaled(c, first, sx, f.x), dots_of(q, w1, none), sx, f.y); }
  let sum = scaled(c, dots_of(q, w1, first), sx, f.x);
  if (has_min) { return Eight(fma(sums.low, vec4<f32>(f.y), sum.low), fma(sums.high, vec4<f32>(f.y), sum.high)); }
  return sum;
}
