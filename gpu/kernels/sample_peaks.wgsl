// samplePeaks: the largest logit of each row that is drawn, and of each column, the quads that one thread of sample_draw.wgsl will visit. A workgroup takes 32
// columns of a row. Expects tops of 0, which sample_draw.wgsl leaves. Twin: find_maxima in wasm/host/src/sampler/select.rs.
override cells: u32; // columns
override quads: u32 = (vocab + 3u) / 4u;

@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> tops: array<atomic<u32>>; // [row] the order of the largest logit, inverted, and whether there is NaN
@group(0) @binding(3) var<storage, read_write> peaks: array<f32>; // [row][column]

const parts: u32 = 8; // threads of a column

var<workgroup> values: array<f32, 256>;
var<workgroup> top: atomic<u32>;

var<private> best: f32;
var<private> size: vec4<u32>; // bits without the sign: NaN lies above infinity

fn see(bits: vec4<u32>) {
  size = max(size, bits & vec4<u32>(0x7fffffffu));
  let x = bitcast<vec4<f32>>(bits);
  best = max(best, max(max(x.x, x.y), max(x.z, x.w)));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.y;
  if (rows[row].kind != drawn_row) { return; }
  let lane = thread & 31u;
  let column = 32u * group.x + lane;
  let last_quad = quads - 1u;
  best = bitcast<f32>(logits_at(row, min(column, last_quad)).x);
  // The last quad may count for other columns too: they are visited in vain.
  for (var i = column + (thread >> 5u) * cells; i < quads; i += 4u * parts * cells) {
    let at = min(vec4<u32>(i, i + parts * cells, i + 2u * parts * cells, i + 3u * parts * cells), vec4<u32>(last_quad));
    let a = logits_at(row, at.x);
    let b = logits_at(row, at.y);
    let c = logits_at(row, at.z);
    let d = logits_at(row, at.w);
    see(a);
    see(b);
    see(c);
    see(d);
  }
  if (max(max(size.x, size.y), max(size.z, size.w)) > 0x7f800000u) { atomicStore(&tops[2u * row + 1u], 1u); }
  values[thread] = best;
  workgroupBarrier();
  if (thread < 32u) {
    for (var i = thread; i < 256u; i += 32u) { best = max(best, values[i]); }
    peaks[row * cells + column] = best;
    atomicMax(&top, ~order_of(bitcast<u32>(best)));
  }
  workgroupBarrier();
  if (thread == 0u) { atomicMax(&tops[2u * row], atomicLoad(&top)); }
}
