// gather: out[i] = x[output_rows[i]], f32. Twin: wasm/model/src/ops/gather.rs.
override cols: u32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> output_rows: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = output_rows[group.x];
  let i = group.y * 256u + thread;
  if (i < cols) { out[group.x * cols + i] = x[row * cols + i]; }
}
