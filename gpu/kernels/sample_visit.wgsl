// Looks through a row for the logits of some buckets and, within them, of some orders, and does one of three things with each.
override quads: u32 = (vocab + 3u) / 4u;

const gathering: u32 = 0;
const edging: u32 = 1;
const tallying: u32 = 2;

// Which logits: buckets and orders from .. to, and the shift that makes cells of orders.
struct Range {
  first_bucket: u32,
  end_bucket: u32, // the last
  low: u32,
  high: u32,
  shift: u32,
}

var<workgroup> orders: array<u32, cells>;
var<workgroup> ids: array<u32, cells>;
var<workgroup> filled: atomic<u32>;
var<workgroup> lowest: atomic<u32>;
var<workgroup> highest: atomic<u32>;

fn meet(id: u32, bits: u32, range: Range, mode: u32) {
  let weight = weigh(bits, scale);
  let order = order_of(bits);
  if (weight.bucket < range.first_bucket || weight.bucket > range.end_bucket || order < range.low || order > range.high) { return; }
  if (mode == gathering) {
    let at = atomicAdd(&filled, 1u);
    if (at >= cells) { return; }
    orders[at] = order;
    ids[at] = id;
  } else if (mode == edging) {
    atomicMin(&lowest, order);
    atomicMax(&highest, order);
  } else {
    tally((order - range.low) >> range.shift, weight.portion);
  }
}

// Logits outside these are outside the range, whatever rounding did; those inside may be.
var<private> bottom: f32;
var<private> top: f32;

fn set_bounds(range: Range) {
  let slack = abs(scale.max) * 1e-6;
  bottom = max(scale.max - f32(range.end_bucket + 1u) / (0.9999 * per_nat) / scale.times - slack, -3.40282347e38);
  let from_top = scale.max - (f32(range.first_bucket) - 1.5) / (1.0001 * per_nat) / scale.times + slack;
  top = bitcast<f32>(select(bitcast<u32>(from_top), 0x7f800000u, range.first_bucket < 2u));
}
fn may_meet(id: u32, x: f32, range: Range, mode: u32) {
  if (x >= bottom && x <= top) { meet(id, bitcast<u32>(x), range, mode); }
}
fn meet_quad(quad: u32, bits: vec4<u32>, range: Range, mode: u32) {
  let x = bitcast<vec4<f32>>(bits);
  if (quad >= quads || !any((x >= vec4<f32>(bottom)) & (x <= vec4<f32>(top)))) { return; }
  may_meet(4u * quad, x.x, range, mode);
  may_meet(4u * quad + 1u, x.y, range, mode);
  may_meet(4u * quad + 2u, x.z, range, mode);
  may_meet(4u * quad + 3u, x.w, range, mode);
}

// Leaves a barrier to its caller.
fn visit(range: Range, mode: u32) {
  set_bounds(range);
  for (var i = select(thread, quads, peak < bottom); i < quads; i += 4u * cells) {
    let at = min(vec4<u32>(i, i + cells, i + 2u * cells, i + 3u * cells), vec4<u32>(quads - 1u));
    let a = logits_at(row, at.x);
    let b = logits_at(row, at.y);
    let c = logits_at(row, at.z);
    let d = logits_at(row, at.w);
    meet_quad(i, a, range, mode);
    meet_quad(i + cells, b, range, mode);
    meet_quad(i + 2u * cells, c, range, mode);
    meet_quad(i + 3u * cells, d, range, mode);
  }
}
