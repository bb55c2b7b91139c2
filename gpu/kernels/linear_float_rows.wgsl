// linear for few rows of f32 activations: weights go from memory to registers once for all rows. A lane is an output, so that 32 lanes read adjacent 16-byte units;
// 16 slices of K. tile_*.wgsl defines Raw, load_raw and eight_of. Twin: wasm/model/src/linear.
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>; // [rows][inner / 4]
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

struct Block { a: Eight, b: Eight, c: Eight, d: Eight }
struct RawBlock { a: Raw, b: Raw, c: Raw, d: Raw }

fn load_block(row: u32, block: u32) -> RawBlock {
  return RawBlock(load_raw(row, 4u * block), load_raw(row, 4u * block + 1u), load_raw(row, 4u * block + 2u), load_raw(row, 4u * block + 3u));
}

fn dot_row(w: Block, row: u32, block: u32) -> f32 {
  let at = min(row, row_count() - 1u) * (matrix.inner >> 2u) + 8u * block;
  return ((dot(w.a.low, x[at]) + dot(w.a.high, x[at + 1u])) + (dot(w.b.low, x[at + 2u]) + dot(w.b.high, x[at + 3u]))) +
    ((dot(w.c.low, x[at + 4u]) + dot(w.c.high, x[at + 5u])) + (dot(w.d.low, x[at + 6u]) + dot(w.d.high, x[at + 7u])));
}

@compute @workgroup_size(512)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread & 31u;
  let slice = thread >> 5u;
  let row0 = group.y * few;
  var o = 32u * group.x + lane;
  var begin = slice;
  var by = 16u;
  if (matrix.half > 0u) {
    o = 16u * group.x + (lane & 15u);
    begin = 2u * slice + (lane >> 4u);
    by = 32u;
  }
  if (matrix.gated > 0u) {
    o = min(o, matrix.gated - 1u) + select(0u, matrix.gated, slice >= 8u);
    begin = slice & 7u;
    by = 8u;
  }
  o = min(o, matrix.rows - 1u);
  var s: Eight;
  let blocks = matrix.inner >> 5u;
  var next = load_block(o, min(begin, blocks - 1u));
  for (var b = begin; b < blocks; b += by) {
    let w = Block(eight_of(next.a), eight_of(next.b), eight_of(next.c), eight_of(next.d));
    next = load_block(o, min(b + by, blocks - 1u));
    s.low.x += dot_row(w, row0, b);
    if (few > 1u) { s.low.y += dot_row(w, row0 + 1u, b); }
    if (few > 2u) {
      s.low.z += dot_row(w, row0 + 2u, b);
      s.low.w += dot_row(w, row0 + 3u, b);
    }
    if (few > 4u) {
      s.high.x += dot_row(w, row0 + 4u, b);
      s.high.y += dot_row(w, row0 + 5u, b);
      s.high.z += dot_row(w, row0 + 6u, b);
      s.high.w += dot_row(w, row0 + 7u, b);
    }
  }
  leave(thread, s);
  store_rows(group, thread);
}
