// linear_sum: adds the planes of sums that a linear with split K left behind and finishes the results. f32.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> sums: array<f32>; // [splits][rows][outputs of the matrix]
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

fn sum_of(row: u32, o: u32) -> f32 {
  let plane = row_count() * matrix.rows;
  let at = row * matrix.rows + o;
  let last = matrix.splits - 1u;
  var sum = 0.0;
  // Four at a time, so that they are under way together.
  for (var z = 0u; z <= last; z += 4u) {
    let a = sums[at + z * plane];
    let b = sums[at + min(z + 1u, last) * plane];
    let c = sums[at + min(z + 2u, last) * plane];
    let d = sums[at + min(z + 3u, last) * plane];
    sum += (a + select(0.0, b, z + 1u <= last)) + (select(0.0, c, z + 2u <= last) + select(0.0, d, z + 3u <= last));
  }
  return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let o = group.x * 256u + thread;
  if (o >= select(matrix.rows, matrix.gated, matrix.gated > 0u)) { return; }
  if (matrix.gated == 0u) { store(group.y, o, sum_of(group.y, o)); } else { store_gated(group.y, o, sum_of(group.y, o), sum_of(group.y, matrix.gated + o)); }
}
