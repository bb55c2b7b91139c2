// rms_norm of rows of whole units of four values: x[r] / sqrt(mean(x[r]^2) + eps) * norm, f32; the first half of normLinear and normGatedLinear.
// One workgroup a row. Where a value comes from and where it goes is in parts: norm_of_rows.wgsl or norm_of_planes.wgsl define first_value, normed_float.wgsl or
// normed_int8.wgsl define leave. Twin: rms_norm in wasm/model/src/ops.
override eps: f32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(5) var<storage, read> norm: array<vec4<f32>>;

var<workgroup> partial: array<f32, 256>;
var<workgroup> partial16: array<f32, 16>;

fn total_of(thread: u32, own: vec4<f32>) -> f32 {
  partial[thread] = (own.x + own.y) + (own.z + own.w);
  workgroupBarrier();
  if (thread < 16u) {
    var sum = 0.0;
    for (var i = thread; i < 256u; i += 64u) { sum += (partial[i] + partial[i + 16u]) + (partial[i + 32u] + partial[i + 48u]); }
    partial16[thread] = sum;
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < 16u; i += 4u) { sum += (partial16[i] + partial16[i + 1u]) + (partial16[i + 2u] + partial16[i + 3u]); }
  return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let units = matrix.inner >> 2u;
  let base = group.x * units;
  var squares = vec4<f32>(0.0);
  for (var i = thread; i < units; i += 256u) {
    let v = first_value(group.x, i, base + i);
    squares = fma(v, v, squares);
  }
  let scale = inverseSqrt(total_of(thread, squares) / f32(matrix.inner) + eps);
  for (var start = 0u; start < units; start += 256u) {
    let i = min(start + thread, units - 1u);
    leave(thread, base + start + thread, x[base + i] * scale * norm[i], start + thread < units);
  }
}
