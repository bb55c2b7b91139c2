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

// Numbers in descending order of the logits; both zeros are the same.
fn order_of(bits: u32) -> u32 {
  if (bits == 0x80000000u) { return 0x7fffffffu; }
  return select(bits ^ 0x7fffffffu, bits, bits >= 0x80000000u);
}
fn bits_of(order: u32) -> u32 { return select(order ^ 0x7fffffffu, order, order >= 0x80000000u); }

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

fn meet_quad(quad: u32, bits: vec4<u32>, bound: f32, range: Range, mode: u32) {
  let x = bitcast<vec4<f32>>(bits);
  if (quad >= quads || max(max(x.x, x.y), max(x.z, x.w)) < bound) { return; }
  meet(4u * quad, bits.x, range, mode);
  meet(4u * quad + 1u, bits.y, range, mode);
  meet(4u * quad + 2u, bits.z, range, mode);
  meet(4u * quad + 3u, bits.w, range, mode);
}

// Leaves a barrier to its caller.
fn visit(range: Range, mode: u32) {
  // Below the last bucket, whatever rounding does.
  let bound = max(scale.max - f32(range.end_bucket + 1u) / 31.99 / scale.times - abs(scale.max) * 1e-6, -3.40282347e38);
  for (var i = thread; i < quads; i += 4u * cells) {
    let at = min(vec4<u32>(i, i + cells, i + 2u * cells, i + 3u * cells), vec4<u32>(quads - 1u));
    let a = logits_at(row, at.x);
    let b = logits_at(row, at.y);
    let c = logits_at(row, at.z);
    let d = logits_at(row, at.w);
    meet_quad(i, a, bound, range, mode);
    meet_quad(i + cells, b, bound, range, mode);
    meet_quad(i + 2u * cells, c, bound, range, mode);
    meet_quad(i + 3u * cells, d, bound, range, mode);
  }
}

// Sorts what was gathered, the first `count` cells, by order and then by id; the cells after them hold the largest numbers.
fn sort(count: u32) {
  for (var size = 2u; size < 2u * count; size <<= 1u) {
    for (var stride = size >> 1u; stride > 0u; stride >>= 1u) {
      workgroupBarrier();
      let other = thread ^ stride;
      if (other > thread && thread < 2u * count) {
        let is_after = orders[thread] > orders[other] || (orders[thread] == orders[other] && ids[thread] > ids[other]);
        if (is_after == ((thread & size) == 0u)) {
          let kept = vec2<u32>(orders[thread], ids[thread]);
          orders[thread] = orders[other];
          ids[thread] = ids[other];
          orders[other] = kept.x;
          ids[other] = kept.y;
        }
      }
    }
  }
  workgroupBarrier();
}
