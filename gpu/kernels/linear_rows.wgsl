// linear for few rows: out[r][first + o] = epilogue(x[r] * weight^T + bias), float activations, exact dequantized weights.
// A workgroup makes 32 outputs of one row: lane = output row, so that 32 lanes read adjacent 16-byte units, 8 slices of K.
// The format's part defines dot_block. Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread & 31u;
  let slice = thread >> 5u;
  let base = group.y * matrix.inner;
  var sum = 0.0;
  for (var b = slice; b < matrix.blocks; b += 8u) { sum += dot_block(group.x * 32u + lane, b, base); }
  partial[thread] = sum;
  workgroupBarrier();
  let o = group.x * 32u + lane;
  if (slice == 0u && o < matrix.rows) {
    for (var s = 1u; s < 8u; s++) { sum += partial[s * 32u + lane]; }
    store(group.y, o, sum);
  }
}
