// Finds the logit with which a count or a mass is reached, in descending order of the logits, equal ones by id.
struct Target {
  by_count: bool,
  mass: vec2<u32>, // to be exceeded; of a count: the lower word
}
struct Spot {
  bucket: u32,
  number: u32,     // logits before the bucket
  count: u32,      // logits in it
  mass: vec2<u32>, // mass before it
}
struct Reach {
  id: u32,
  order: u32,
  mass: vec2<u32>, // of all up to the logit; where a count was to be reached, of its equals too
}

// In units of 2^-44 of the largest weight.
fn mass_of(bucket: u32, sum: vec2<u32>) -> vec2<u32> {
  let factor = factors[bucket];
  return scaled(sum, factor.x, factor.y);
}
fn reaches(aim: Target, number: u32, mass: vec2<u32>) -> bool {
  return select(less(aim.mass, mass), number > aim.mass.x, aim.by_count);
}

// Each thread has `own` buckets; what lies before them.
override own: u32 = buckets / cells;

var<private> own_number: u32;
var<private> own_mass: vec2<u32>;

fn count_in(tally: vec2<u32>) -> u32 { return tally.y >> count_shift; }
fn mass_in(bucket: u32, tally: vec2<u32>) -> vec2<u32> { return mass_of(bucket, vec2<u32>(tally.x, tally.y & sum_mask)); }

fn add_buckets_up() {
  var number = 0u;
  var mass = vec2<u32>(0u);
  for (var bucket = thread * own; bucket < (thread + 1u) * own; bucket++) {
    let tally = tallies[row * buckets + bucket];
    number += count_in(tally);
    mass = add(mass, mass_in(bucket, tally));
  }
  scan(number, mass);
  own_number = counts[thread] - number;
  own_mass = subtract(mass_at(thread), mass);
}

var<workgroup> spot: Spot;

// The bucket in which the target is reached. There is one.
fn locate(aim: Target) -> Spot {
  var number = own_number;
  var mass = own_mass;
  for (var bucket = thread * own; bucket < (thread + 1u) * own; bucket++) {
    let tally = tallies[row * buckets + bucket];
    let count = count_in(tally);
    let through = add(mass, mass_in(bucket, tally));
    if (!reaches(aim, number, mass) && reaches(aim, number + count, through)) { spot = Spot(bucket, number, count, mass); }
    number += count;
    mass = through;
  }
  return workgroupUniformLoad(&spot);
}

// Mass of all buckets up to one.
fn mass_through(last: u32) -> vec2<u32> {
  var mass = own_mass;
  for (var bucket = thread * own; bucket <= last && bucket < (thread + 1u) * own; bucket++) {
    mass = add(mass, mass_in(bucket, tallies[row * buckets + bucket]));
  }
  if (last / own == thread) { spot.mass = mass; }
  return workgroupUniformLoad(&spot).mass;
}

// Sorted logits: those of some buckets, or of a part of one.
struct Held {
  number: u32,     // logits before them
  count: u32,
  mass: vec2<u32>, // mass before them
}

var<private> held: Held;

fn hold(range: Range, number: u32, count: u32, mass: vec2<u32>) {
  held = Held(number, count, mass);
  orders[thread] = 0xffffffffu;
  ids[thread] = 0xffffffffu;
  if (thread == 0u) { atomicStore(&filled, 0u); }
  workgroupBarrier();
  visit(range, gathering);
  sort(count);
  let weight = weigh(bits_of(orders[thread]), scale);
  scan(0u, select(vec2<u32>(0u), mass_of(weight.bucket, vec2<u32>(weight.portion, 0u)), thread < count));
}

var<workgroup> reach: Reach;

fn descend(aim: Target) -> Reach {
  if (held.count > 0u) {
    let through = add(held.mass, mass_at(held.count - 1u));
    if (!reaches(aim, held.number, held.mass) && reaches(aim, held.number + held.count, through)) { return reach_held(aim); }
  }
  let here = locate(aim);
  if (here.number + here.count <= cells) {
    hold(Range(0u, here.bucket, 0u, 0xffffffffu, 0u), 0u, here.number + here.count, vec2<u32>(0u));
  } else if (here.count <= cells) {
    hold(Range(here.bucket, here.bucket, 0u, 0xffffffffu, 0u), here.number, here.count, here.mass);
  } else {
    return descend_further(here, aim);
  }
  return reach_held(aim);
}

fn descend_further(here: Spot, aim: Target) -> Reach {
  let found = narrow(here, aim);
  let order = found.range.low;
  var result: Reach;
  if (found.count > cells) {
    let which = among_equals(here, found, aim);
    result = Reach(id_among_equals(order, which), order, mass_of_equals(here, found, select(which, found.count, aim.by_count)));
  } else {
    hold(found.range, found.number, found.count, add(here.mass, mass_of(here.bucket, found.before)));
    result = reach_held(aim);
  }
  held.count = 0u; // it is not all of the bucket
  return result;
}

fn reach_held(aim: Target) -> Reach {
  let last = held.count - 1u;
  let through = add(held.mass, mass_at(thread));
  if (thread <= last) {
    var before = held.mass;
    if (thread > 0u) { before = add(held.mass, mass_at(thread - 1u)); }
    let number = held.number + thread;
    // The last one where rounding leaves no other.
    if (!reaches(aim, number, before) && (thread == last || reaches(aim, number + 1u, through))) { reach = Reach(ids[thread], orders[thread], through); }
  }
  let found = workgroupUniformLoad(&reach);
  if (aim.by_count && thread <= last && orders[thread] == found.order) {
    if (thread == last || orders[thread + 1u] != found.order) { reach.mass = through; }
  }
  return workgroupUniformLoad(&reach);
}
