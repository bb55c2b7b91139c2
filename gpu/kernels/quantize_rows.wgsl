// quantize_rows: the int8 image of activation rows (normed_int8.wgsl). f32 in.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let units = matrix.inner >> 2u;
  let i = group.x * 256u + thread;
  leave(thread, group.y * units + i, x[group.y * units + min(i, units - 1u)], i < units);
}
