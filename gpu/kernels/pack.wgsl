// pack: brings raw rows of a checkpoint (row-major blocks as in a GGUF file, staged as bytes) into the layout that the kernels read (layout.wgsl).
// A thread makes two blocks of a row. The format's part defines pack_pair. Rows of q and k change places within their head: the two halves that RoPE
// rotates with each other become neighbours, so that they meet in one workgroup; dot products of q and k do not care.
struct Matrix {
  first_row: u32, // where the staged rows go, within this buffer
  rows: u32,      // staged rows
  inner: u32,
  blocks: u32,    // ceil(inner / 32)
  half: u32,      // 1 where rows come in groups of 16 (layout.wgsl)
  row_bytes: u32,
  rotary: u32,    // head_dim of q and k, 0 for everything else
  start: u32,     // of the staged rows, in bytes
}
@group(0) @binding(0) var<uniform> matrix: Matrix;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

// The 32 bits at a byte offset that is even.
fn word_at(byte: u32) -> u32 {
  let at = byte >> 2u;
  if ((byte & 2u) == 0u) { return raw[at]; }
  return (raw[at] >> 16u) | (raw[at + 1u] << 16u);
}
fn half_at(byte: u32) -> u32 { return (raw[byte >> 2u] >> (8u * (byte & 2u))) & 0xffffu; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let pairs = (matrix.blocks + 1u) >> 1u;
  for (var i = id.x; i < matrix.rows * pairs; i += groups.x * 64u) {
    let row = i % matrix.rows;
    var place = matrix.first_row + row;
    if (matrix.rotary > 0u) {
      let d = place % matrix.rotary;
      place += select(2u * d + 1u - matrix.rotary, 2u * d, d < matrix.rotary / 2u) - d;
    }
    pack_pair(matrix.start + row * matrix.row_bytes, place, i / matrix.rows);
  }
}
