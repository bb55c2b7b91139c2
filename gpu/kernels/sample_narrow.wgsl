// For a bucket with more logits than a workgroup can sort: the range of orders around a target gets smaller, until what is left can be sorted or is all equal.
struct Narrowed {
  range: Range,
  before: vec2<u32>, // sum of portions before the range, in this bucket
  number: u32,       // logits before it, in the whole row
  count: u32,        // logits in it
}
struct Crossing {
  cell: u32,
  before: vec2<u32>,
  number: u32,
  count: u32,
}

var<workgroup> crossing: Crossing;

fn narrow(spot: Spot, aim: Target) -> Narrowed {
  var now = Narrowed(Range(spot.bucket, spot.bucket, 0u, 0xffffffffu, 0u), vec2<u32>(0u), spot.number, spot.count);
  if (thread == 0u) {
    atomicStore(&lowest, 0xffffffffu);
    atomicStore(&highest, 0u);
  }
  workgroupBarrier();
  visit(now.range, edging);
  workgroupBarrier();
  now.range.low = atomicLoad(&lowest);
  now.range.high = atomicLoad(&highest);
  while (now.count > cells && now.range.low < now.range.high) {
    let bits = firstLeadingBit(now.range.high - now.range.low) + 1u;
    let most = firstLeadingBit(cells);
    now.range.shift = select(0u, bits - most, bits > most);
    workgroupBarrier();
    atomicStore(&low[thread], 0u);
    atomicStore(&high[thread], 0u);
    workgroupBarrier();
    visit(now.range, tallying);
    workgroupBarrier();
    let count = atomicLoad(&high[thread]) >> count_shift;
    let sum = vec2<u32>(atomicLoad(&low[thread]), atomicLoad(&high[thread]) & sum_mask);
    scan(count, sum);
    let number = now.number + counts[thread] - count;
    let through = add(now.before, mass_at(thread));
    let before = subtract(through, sum);
    let is_before = reaches(aim, number, add(spot.mass, mass_of(spot.bucket, before)));
    let is_through = reaches(aim, number + count, add(spot.mass, mass_of(spot.bucket, through)));
    // The last one where rounding leaves no other.
    if (count > 0u && !is_before && (is_through || counts[thread] == now.count)) { crossing = Crossing(thread, before, number, count); }
    let found = workgroupUniformLoad(&crossing);
    now.before = found.before;
    now.number = found.number;
    now.count = found.count;
    now.range.low += found.cell << now.range.shift;
    now.range.high = min(now.range.high, now.range.low + (1u << now.range.shift) - 1u);
  }
  return now;
}

// Which of equal logits it is, the first by id is 1, and the mass of all up to it.
fn among_equals(spot: Spot, found: Narrowed, aim: Target) -> u32 {
  var least = 1u;
  var most = found.count;
  while (least < most) {
    let middle = (least + most) / 2u;
    if (reaches(aim, found.number + middle, mass_of_equals(spot, found, middle))) { most = middle; } else { least = middle + 1u; }
  }
  return least;
}
fn mass_of_equals(spot: Spot, found: Narrowed, count: u32) -> vec2<u32> {
  let portion = weigh(bits_of(found.range.low), scale).portion;
  return add(spot.mass, mass_of(spot.bucket, add(found.before, multiply(portion, count))));
}

// Id of a logit among equal ones: each thread counts those of a stretch of the row.
fn id_among_equals(order: u32, which: u32) -> u32 {
  let each = (quads + cells - 1u) / cells;
  let end = min(quads, (thread + 1u) * each);
  var count = 0u;
  for (var quad = thread * each; quad < end; quad++) { count += equals(logits_at(row, quad), order); }
  scan(count, vec2<u32>(0u));
  var seen = counts[thread] - count;
  if (seen < which && which <= counts[thread]) {
    for (var quad = thread * each; quad < end; quad++) {
      let bits = logits_at(row, quad);
      for (var i = 0u; i < 4u; i++) {
        if (order_of(bits[i]) == order) {
          seen += 1u;
          if (seen == which) { crossing.cell = 4u * quad + i; }
        }
      }
    }
  }
  return workgroupUniformLoad(&crossing).cell;
}
fn equals(bits: vec4<u32>, order: u32) -> u32 {
  return u32(order_of(bits.x) == order) + u32(order_of(bits.y) == order) + u32(order_of(bits.z) == order) + u32(order_of(bits.w) == order);
}
