// embed: out[r] = table[tokens[r]], one chunk of the table (rows first_row .. first_row + chunk_rows) a dispatch; tokens outside it are left to other chunks.
// f32 out. Weight layout and `weight_pair` come from weight_*.wgsl. Twin: wasm/model/src/ops/embed.rs.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> scales: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let token = tokens[group.x];
  if (token < matrix.first || token >= matrix.first + matrix.rows) { return; }
  let row = token - matrix.first;
  let i = group.y * 256u + thread;
  if (i < matrix.inner) { out[group.x * matrix.inner + i] = weight_at(row, i); }
}
