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
@group(0) @binding(3) var<storage, read_write> qkv: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> cache: array<u32>;

// A thread a pair: those of q's heads (which stay as they are without rope), then those of k's and of v's.
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let of_q = heads * head_dim / 2u;
  let of_k = kv_heads * head_dim / 2u;
  var pair = group.y * 256u + thread;
  if (!rope) { pair += of_q; }
  if (pair >= of_q + 2u * of_k) { return; }
  let at = row * (of_q + 2u * of_k) + pair;
  var value = qkv[at];
  if (rope && pair < of_q + of_k) {
    let half = head_dim / 2u;
    let c = angles[row * head_dim + pair % half];
    let s = angles[row * head_dim + half + pair % half];
    value = vec2<f32>(value.x * c - value.y * s, value.y * c + value.x * s);
  }
  if (pair < of_q) {
    qkv[at] = value;
  } else {
    let v = pair >= of_q + of_k;
    cache_store(select(0u, slots_in_cache * of_k, v) + slots[row] * of_k + pair - select(of_q, of_q + of_k, v), value);
  }
}
