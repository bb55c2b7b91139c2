// attention_combine: joins the slices that attention_rows.wgsl made of a row's context. One workgroup a (row, head).
override heads: u32;
override head_dim: u32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> singles: array<u32>;
@group(0) @binding(2) var<storage, read> partial: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let base = (group.x * heads + group.y) * batch.slices * (head_dim + 2u);
  var largest = -3.4e38;
  for (var s = 0u; s < batch.slices; s++) { largest = max(largest, partial[base + s * (head_dim + 2u) + head_dim]); }
  for (var d = thread; d < head_dim; d += 64u) {
    var value = 0.0;
    var total = 0.0;
    for (var s = 0u; s < batch.slices; s++) {
      let at = base + s * (head_dim + 2u);
      let weight = exp2(partial[at + head_dim] - largest);
      value += weight * partial[at + d];
      total += weight * partial[at + head_dim + 1u];
    }
    out[(singles[group.x] * heads + group.y) * head_dim + d] = value / total;
  }
}
