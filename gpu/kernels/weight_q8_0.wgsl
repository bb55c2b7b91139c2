// q8_0 weights: a block of 32 values is 2 units of 16 signed bytes; scales are f16, two blocks a word. Where: layout.wgsl.
fn scale_of(row: u32, block: u32) -> f32 { return unpack2x16float(scales[scale_index(row, block >> 1u)])[block & 1u]; }
fn weight_at(row: u32, k: u32) -> f32 {
  let unit = unit_index(row, k >> 5u, 2u, (k >> 4u) & 1u);
  return f32(unpack4xI8(weights[unit][(k >> 2u) & 3u])[k & 3u]) * scale_of(row, k >> 5u);
}
fn dot_block(row: u32, block: u32, base: u32) -> f32 {
  var sum = 0.0;
  for (var v = 0u; v < 2u; v++) {
    let w = weights[unit_index(row, block, 2u, v)];
    let at = base + block * 32u + v * 16u;
    sum += dot(vec4<f32>(unpack4xI8(w.x)), x_at(at)) + dot(vec4<f32>(unpack4xI8(w.y)), x_at(at + 4u)) + dot(vec4<f32>(unpack4xI8(w.z)), x_at(at + 8u)) +
      dot(vec4<f32>(unpack4xI8(w.w)), x_at(at + 12u));
  }
  return sum * scale_of(row, block);
}
