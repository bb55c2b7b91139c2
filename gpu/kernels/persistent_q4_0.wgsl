// q4_0 weights in the persistent walk: layout of weight_q4_0.wgsl, dot products of 4 signed bytes, the nibbles' zero point (8) taken off through the slot's sum.
struct Block { unit: vec4<u32> }
fn block_W(at: u32) -> Block { return Block(weights_W[at]); }
const block_units = 1u;

fn dot_block(w: Block, scale: f32, block: u32) -> f32 {
  let a = staged[2u * block];
  let b = staged[2u * block + 1u];
  let sa = staged_scales[2u * block];
  let sb = staged_scales[2u * block + 1u];
  let low = 0x0f0f0f0fu;
  let u = w.unit;
  let first = dot4I8Packed(u.x & low, a.x) + dot4I8Packed((u.x >> 4u) & low, a.y) + dot4I8Packed(u.y & low, a.z) + dot4I8Packed((u.y >> 4u) & low, a.w);
  let second = dot4I8Packed(u.z & low, b.x) + dot4I8Packed((u.z >> 4u) & low, b.y) + dot4I8Packed(u.w & low, b.z) + dot4I8Packed((u.w >> 4u) & low, b.w);
  return scale * (f32(first) * sa.x - sa.y + f32(second) * sb.x - sb.y);
}
fn embedded_W(at: u32, scale_at: u32, row: u32, k: u32, blocks: u32) -> f32 {
  let word = weights_W[at + ((row >> 5u) * blocks + (k >> 5u)) * 32u + (row & 31u)][(k >> 3u) & 3u];
  let scale = unpack2x16float(scales[scale_at + ((row >> 5u) * (blocks >> 1u) + (k >> 6u)) * 32u + (row & 31u)])[(k >> 5u) & 1u];
  return (f32((word >> (8u * (k & 3u) + (k & 4u))) & 15u) - 8.0) * scale;
}
