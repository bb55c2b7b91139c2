// attention_combine: joins the slices that attention_rows.wgsl or attention_tiles.wgsl made of a row's context. One workgroup a (row, head): its threads take
// four dimensions of every `slice_lanes`-th slice, then the sums of those are added.
override heads: u32;
override head_dim: u32;
override of_tiles: bool;
override slice_lanes: u32; // 1024 / head_dim, rounded down
override sums_size: u32;   // slice_lanes * head_dim / 4

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> rows: array<u32>;          // singles or tile_rows
@group(0) @binding(2) var<storage, read> partial: array<vec4<f32>>; // [index in rows][head][slice][head_dim values; largest score, sum of weights, 0, 0]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

var<workgroup> values: array<vec4<f32>, sums_size>;
var<workgroup> states: array<vec2<f32>, 64>; // of the slices: largest score, sum of weights

// Where a tile has fewer rows than others.
const no_row = 0xffffffffu;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  var slices = batch.slices;
  if (of_tiles) { slices = batch.tile_slices; }
  let row = rows[group.x];
  let stride = head_dim / 4u + 1u;
  let base = (group.x * heads + group.y) * slices * stride;
  let d = thread % (head_dim / 4u);
  let lane = thread / (head_dim / 4u);
  if (thread < slices) { states[thread] = partial[base + thread * stride + head_dim / 4u].xy; }
  workgroupBarrier();
  var most = -3.4e38;
  for (var s = 0u; s < slices; s++) { most = max(most, states[s].x); }
  var total = 0.0;
  for (var s = 0u; s < slices; s++) { total += exp2(states[s].x - most) * states[s].y; }
  var value = vec4<f32>(0.0);
  if (lane < slice_lanes) {
    for (var s = lane; s < slices; s += slice_lanes) { value += exp2(states[s].x - most) * partial[base + s * stride + d]; }
    values[thread] = value;
  }
  workgroupBarrier();
  if (lane > 0u || row == no_row) { return; }
  for (var i = 1u; i < slice_lanes; i++) { value += values[i * (head_dim / 4u) + d]; }
  out[(row * heads + group.y) * (head_dim / 4u) + d] = value / total;
}
