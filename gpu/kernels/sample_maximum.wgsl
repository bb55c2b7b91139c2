// sampleMaximum: the first of the largest logits of a row, one workgroup a row. It is the token of a greedy row; for one that is drawn, what weights are
// relative to. A row that has NaN, or nothing above -infinity, has no token. Twins: find_maxima and first_maximum in wasm/host/src/sampler/select.rs.
override threads: u32;
override quads: u32 = (vocab + 3u) / 4u;

@group(0) @binding(1) var<storage, read_write> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> made: array<u32>;
@group(0) @binding(3) var<storage, read_write> last: array<u32>;

var<workgroup> values: array<f32, threads>;
var<workgroup> places: array<u32, threads>; // quads, the first that has the value
var<workgroup> sizes: array<u32, threads>; // bits without the sign: NaN lies above infinity

var<private> best: f32;
var<private> place: u32;
var<private> size: vec4<u32>;

fn largest(bits: vec4<u32>) -> f32 {
  let x = bitcast<vec4<f32>>(bits);
  return max(max(x.x, x.y), max(x.z, x.w));
}
fn see(quad: u32, bits: vec4<u32>) {
  size = max(size, bits & vec4<u32>(0x7fffffffu));
  let value = largest(bits);
  if (value > best) {
    best = value;
    place = quad;
  }
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let last_quad = quads - 1u;
  place = min(thread, last_quad);
  best = largest(logits_at(row, place));
  // To see a quad twice changes nothing.
  for (var i = thread; i < quads; i += 4u * threads) {
    let at = min(vec4<u32>(i, i + threads, i + 2u * threads, i + 3u * threads), vec4<u32>(last_quad));
    let a = logits_at(row, at.x);
    let b = logits_at(row, at.y);
    let c = logits_at(row, at.z);
    let d = logits_at(row, at.w);
    see(at.x, a);
    see(at.y, b);
    see(at.z, c);
    see(at.w, d);
  }
  values[thread] = best;
  places[thread] = place;
  sizes[thread] = max(max(size.x, size.y), max(size.z, size.w));
  for (var half = threads >> 1u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (thread < half) {
      let other = values[thread + half];
      if (other > best || (other == best && places[thread + half] < place)) {
        best = other;
        place = places[thread + half];
        values[thread] = best;
        places[thread] = place;
      }
      sizes[thread] = max(sizes[thread], sizes[thread + half]);
    }
  }
  if (thread > 0u) { return; }
  let is_bad = sizes[0] > 0x7f800000u || bitcast<u32>(best) == 0xff800000u;
  let kind = rows[row].kind;
  rows[row].is_ready = u32(kind == 2u && !is_bad);
  rows[row].max = min(best, 3.40282347e38);
  if (kind == 2u && !is_bad) { return; }
  let hits = bitcast<vec4<f32>>(logits_at(row, place)) == vec4<f32>(best);
  let offset = select(select(select(3u, 2u, hits.z), 1u, hits.y), 0u, hits.x);
  make(row, select(4u * place + offset, no_token, is_bad || kind == 0u));
}
