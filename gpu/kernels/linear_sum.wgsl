// linear_sum: adds the planes of sums that a linear with split K left behind and finishes the results. f32.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> sums: array<f32>; // [splits][rows][outputs of the matrix]
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

fn sum_of(row: u32, o: u32) -> f32 {
  var sum = 0.0;
  for (var z = 0u; z < matrix.splits; z++) { sum += sums[(z * row_count() + row) * matrix.rows + o]; }
  return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let o = group.x * 256u + thread;
  if (o >= select(matrix.rows, matrix.gated, matrix.gated > 0u)) { return; }
  if (matrix.gated == 0u) { store(group.y, o, sum_of(group.y, o)); } else { store_gated(group.y, o, sum_of(group.y, o), sum_of(group.y, matrix.gated + o)); }
}
