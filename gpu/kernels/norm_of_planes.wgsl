// Rows to normalise to which a linear with split K is yet to be added: the planes of its sums, and its bias.
override has_bias: bool;

@group(0) @binding(4) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> sums: array<vec4<f32>>; // [splits][rows][inner / 4]
@group(0) @binding(7) var<storage, read> bias: array<vec4<f32>>;

fn first_value(row: u32, i: u32, at: u32) -> vec4<f32> {
  let plane = select(batch.rows, batch.outputs, matrix.of_outputs > 0u) * (matrix.inner >> 2u);
  var v = x[at];
  // Four at a time, so that they are under way together.
  for (var z = 0u; z < matrix.splits; z += 4u) {
    let last = matrix.splits - 1u;
    let a = sums[at + z * plane];
    let b = sums[at + min(z + 1u, last) * plane];
    let c = sums[at + min(z + 2u, last) * plane];
    let d = sums[at + min(z + 3u, last) * plane];
    v += (a + select(vec4<f32>(0.0), b, z + 1u <= last)) + (select(vec4<f32>(0.0), c, z + 2u <= last) + select(vec4<f32>(0.0), d, z + 3u <= last));
  }
  if (has_bias) { v += bias[i]; }
  x[at] = v;
  return v;
}
