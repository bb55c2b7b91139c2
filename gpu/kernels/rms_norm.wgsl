// rms_norm: out[r] = x[r] / sqrt(mean(x[r]^2) + eps) * norm, f32 throughout; the first half of normLinear and normGatedLinear.
// One workgroup a row. Twin: rms_norm in wasm/model/src/ops.
override cols: u32;
override eps: f32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let base = group.x * cols;
  var sum = 0.0;
  for (var i = thread; i < cols; i += 256u) { let v = x[base + i]; sum += v * v; }
  partial[thread] = sum;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (thread < half) { partial[thread] += partial[thread + half]; }
  }
  workgroupBarrier();
  let scale = inverseSqrt(partial[0] / f32(cols) + eps);
  for (var i = thread; i < cols; i += 256u) { out[base + i] = x[base + i] * scale * norm[i]; }
}
