// quantize_rows: the int8 image of activation rows: per row and block of 32 values a scale absmax / 127 and 32 signed bytes, two units of 16 bytes.
// f32 in; units [rows][inner / 16], factors [rows][inner / 32] (scale, scale * sum of the bytes). A thread makes one block. Twin: prepare in wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> units: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> factors: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let blocks = matrix.inner / 32u;
  let b = group.x * 64u + thread;
  if (b >= blocks) { return; }
  let block = group.y * blocks + b;
  let at = 8u * block;
  quantize_block(block, x[at], x[at + 1u], x[at + 2u], x[at + 3u], x[at + 4u], x[at + 5u], x[at + 6u], x[at + 7u]);
}
