// linear for many rows: tiles of 64 rows x 64 outputs, f32 throughout; weights are dequantized on the way into workgroup memory. The plain path of prefill:
// any device, any rows, any outputs, any format. A thread makes 4 x 4 results. Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

var<workgroup> tile_x: array<array<f32, 33>, 64>; // [row][k], one value more so that neighbouring rows lie on different banks
var<workgroup> tile_w: array<array<f32, 33>, 64>; // [output][k]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let count = row_count();
  let row0 = group.y * 64u;
  let out0 = group.x * 64u;
  let tx = thread & 15u;
  let ty = thread >> 4u;
  var sums: array<vec4<f32>, 4>;
  for (var b = 0u; b < matrix.blocks; b++) {
    workgroupBarrier();
    for (var i = thread; i < 2048u; i += 256u) {
      let row = i >> 5u;
      let k = b * 32u + (i & 31u);
      var value = 0.0;
      if (row0 + row < count && k < matrix.inner) { value = x[(row0 + row) * matrix.inner + k]; }
      tile_x[row][i & 31u] = value;
      var weight = 0.0;
      if (out0 + row < matrix.rows && k < matrix.inner) { weight = weight_at(out0 + row, k); }
      tile_w[row][i & 31u] = weight;
    }
    workgroupBarrier();
    for (var k = 0u; k < 32u; k++) {
      let w = vec4<f32>(tile_w[tx][k], tile_w[tx + 16u][k], tile_w[tx + 32u][k], tile_w[tx + 48u][k]);
      sums[0] += tile_x[ty][k] * w;
      sums[1] += tile_x[ty + 16u][k] * w;
      sums[2] += tile_x[ty + 32u][k] * w;
      sums[3] += tile_x[ty + 48u][k] * w;
    }
  }
  for (var i = 0u; i < 4u; i++) {
    let row = row0 + ty + 16u * i;
    for (var j = 0u; j < 4u; j++) {
      let o = out0 + tx + 16u * j;
      if (row < count && o < matrix.rows) { store(row, o, sums[i][j]); }
    }
  }
}
