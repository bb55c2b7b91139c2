// sampleMaximum: greedy rows get the first of their largest logits, one workgroup a row. A row that has NaN, or nothing above -infinity, has no token, nor has
// one of which none is wanted; rows that are drawn are left alone. Twins: find_maxima and first_maximum in wasm/host/src/sampler/select.rs.
override threads: u32;
override quads: u32 = (vocab + 3u) / 4u;

@group(0) @binding(1) var<storage, read_write> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> made: array<u32>;
@group(0) @binding(3) var<storage, read_write> last: array<u32>;

struct Peak {
  value: f32,
  place: u32, // the first quad that has it
  size: u32,  // the largest logit without its sign, as bits: NaN lies above infinity
}

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
  let kind = rows[row].kind;
  if (kind == drawn_row) { return; }
  let last_quad = quads - 1u;
  place = min(thread, last_quad);
  best = largest(logits_at(row, place));
  // To see a quad twice changes nothing.
  for (var i = thread; i < quads; i += 8u * threads) {
    let at = min(vec4<u32>(i, i + threads, i + 2u * threads, i + 3u * threads), vec4<u32>(last_quad));
    let then = min(vec4<u32>(i + 4u * threads) + vec4<u32>(0u, threads, 2u * threads, 3u * threads), vec4<u32>(last_quad));
    let a = logits_at(row, at.x);
    let b = logits_at(row, at.y);
    let c = logits_at(row, at.z);
    let d = logits_at(row, at.w);
    let e = logits_at(row, then.x);
    let f = logits_at(row, then.y);
    let g = logits_at(row, then.z);
    let h = logits_at(row, then.w);
    see(at.x, a);
    see(at.y, b);
    see(at.z, c);
    see(at.w, d);
    see(then.x, e);
    see(then.y, f);
    see(then.z, g);
    see(then.w, h);
  }
  let found = first_of(thread, Peak(best, place, max(max(size.x, size.y), max(size.z, size.w))));
  if (thread > 0u) { return; }
  let is_bad = found.size > 0x7f800000u || bitcast<u32>(found.value) == 0xff800000u;
  let hits = bitcast<vec4<f32>>(logits_at(row, found.place)) == vec4<f32>(found.value);
  let offset = select(select(select(3u, 2u, hits.z), 1u, hits.y), 0u, hits.x);
  make(row, select(4u * found.place + offset, no_token, is_bad || kind == no_row));
}
