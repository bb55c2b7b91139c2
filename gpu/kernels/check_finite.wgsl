// check_finite: looks for weights that are not finite in staged rows (pack.wgsl), block after block: in formats of floats at the values, in all others at
// what scales a block. Twin: wasm/host/src/codec/non_finite.rs.
struct Blocks {
  count: u32,  // staged
  bytes: u32,  // of a block
  first: u32,  // where its number lies, and
  second: u32, // a second one, or the same
  limit: u32,  // the least magnitude, bits without a sign, that is too large: of f32 where it has more than 16 bits
  before: u32, // blocks of the tensor before the staged ones
  tensor: u32, // its number
  start: u32,  // of the staged blocks, in bytes
}
@group(0) @binding(0) var<uniform> blocks: Blocks;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> wrong: array<atomic<u32>>; // [tensors] the first such block

fn magnitude_at(byte: u32) -> u32 {
  let word = raw[byte >> 2u];
  if (blocks.limit > 0xffffu) { return word & 0x7fffffffu; }
  return (word >> (8u * (byte & 2u))) & 0x7fffu;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < blocks.count; i += groups.x * 64u) {
    let at = blocks.start + i * blocks.bytes;
    if (max(magnitude_at(at + blocks.first), magnitude_at(at + blocks.second)) >= blocks.limit) { atomicMin(&wrong[blocks.tensor], blocks.before + i); }
  }
}
