// rms_norm with int8 output: the rows of rms_norm.wgsl as quantize_rows.wgsl leaves them. One workgroup a row, a thread a block of 32. Twin: rms_norm and prepare in wasm/model/src.
override cols: u32; // a multiple of 32
override eps: f32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> units: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> factors: array<vec2<f32>>;

var<workgroup> partial: array<f32, 256>;

fn normed(row: u32, i: u32, scale: f32) -> vec4<f32> { return x[row * (cols / 4u) + i] * scale * norm[i]; }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  var sums = vec4<f32>(0.0);
  for (var i = thread; i < cols / 4u; i += 256u) { let v = x[group.x * (cols / 4u) + i]; sums += v * v; }
  partial[thread] = sums.x + sums.y + sums.z + sums.w;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (thread < half) { partial[thread] += partial[thread + half]; }
  }
  workgroupBarrier();
  let s = inverseSqrt(partial[0] / f32(cols) + eps);
  let r = group.x;
  for (var b = thread; b < cols / 32u; b += 256u) {
    let i = 8u * b;
    quantize_block(r * (cols / 32u) + b, normed(r, i, s), normed(r, i + 1u, s), normed(r, i + 2u, s), normed(r, i + 3u, s), normed(r, i + 4u, s),
      normed(r, i + 5u, s), normed(r, i + 6u, s), normed(r, i + 7u, s));
  }
}
