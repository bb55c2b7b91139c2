// ropeStore: rotates q in place and stores rotated k and plain v in the cache at slots[r]; k in qkv is left as it was, nobody reads it again.
// Cache: plane 0 K, plane 1 V; a plane is [slot][kv_heads * head_dim] in pairs of values (cache_*.wgsl). Twin: wasm/model/src/ops/rope_store.rs.
override heads: u32;
override kv_heads: u32;
override head_dim: u32;
override rope: bool;
override slots_in_cache: u32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> angles: array<f32>; // [rows][cos of head_dim / 2 | sin of head_dim / 2]
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(4) var<storage, read_write> cache: array<u32>;

// Value `i` of the head that starts at `head`, rotated.
fn rotated(row: u32, head: u32, i: u32) -> f32 {
  let half = head_dim / 2u;
  if (!rope) { return qkv[head + i]; }
  let low = i < half;
  let at = select(i - half, i, low);
  let c = angles[row * head_dim + at];
  let s = angles[row * head_dim + half + at];
  let a = qkv[head + at];
  let b = qkv[head + half + at];
  return select(b * c + a * s, a * c - b * s, low);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let kv = kv_heads * head_dim;
  let base = row * (heads * head_dim + 2u * kv);
  let half = head_dim / 2u;
  let key = base + heads * head_dim;
  let pairs = kv / 2u;
  let at = slots[row] * pairs;
  for (var p = thread; p < pairs; p += 64u) {
    let head = key + 2u * p / head_dim * head_dim;
    let i = 2u * p % head_dim;
    cache_store(at + p, vec2<f32>(rotated(row, head, i), rotated(row, head, i + 1u)));
    cache_store(slots_in_cache * pairs + at + p, vec2<f32>(qkv[key + kv + 2u * p], qkv[key + kv + 2u * p + 1u]));
  }
  if (rope) {
    for (var p = thread; p < heads * half; p += 64u) {
      let head = base + p / half * head_dim;
      let i = p % half;
      let c = angles[row * head_dim + i];
      let s = angles[row * head_dim + half + i];
      let a = qkv[head + i];
      let b = qkv[head + half + i];
      qkv[head + i] = a * c - b * s;
      qkv[head + half + i] = b * c + a * s;
    }
  }
}
