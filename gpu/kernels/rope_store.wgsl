// ropeStore: rotates q in place and stores rotated k and plain v in the cache at slots[r]; k in qkv is left as it was, nobody reads it again.
// The values that rotate with each other are neighbours (pack.wgsl put the rows of q and k in that order).
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

// The pair of values at `at`, the `pair`-th of all heads, rotated.
fn rotated(row: u32, pair: u32, at: u32) -> vec2<f32> {
  let a = qkv[at];
  let b = qkv[at + 1u];
  if (!rope) { return vec2<f32>(a, b); }
  let half = head_dim / 2u;
  let c = angles[row * head_dim + pair % half];
  let s = angles[row * head_dim + half + pair % half];
  return vec2<f32>(a * c - b * s, b * c + a * s);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let kv = kv_heads * head_dim;
  let base = row * (heads * head_dim + 2u * kv);
  let key = base + heads * head_dim;
  let pairs = kv / 2u;
  let at = slots[row] * pairs;
  for (var p = thread; p < pairs; p += 64u) {
    cache_store(at + p, rotated(row, p, key + 2u * p));
    cache_store(slots_in_cache * pairs + at + p, vec2<f32>(qkv[key + kv + 2u * p], qkv[key + kv + 2u * p + 1u]));
  }
  if (rope) {
    for (var p = thread; p < heads * head_dim / 2u; p += 64u) {
      let q = rotated(row, p, base + 2u * p);
      qkv[base + 2u * p] = q.x;
      qkv[base + 2u * p + 1u] = q.y;
    }
  }
}
