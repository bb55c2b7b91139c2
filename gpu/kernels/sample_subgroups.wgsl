// What sample_plain.wgsl does, with subgroups: no more of them than each has lanes.
override lanes: u32;

struct Sums {
  count: u32,
  mass: vec2<u32>,
}

fn scan_lanes(count: u32, mass: vec2<u32>) -> Sums {
  var sums = Sums(count, mass);
  for (var stride = 1u; stride < lanes; stride <<= 1u) {
    let other = Sums(subgroupShuffleUp(sums.count, stride), subgroupShuffleUp(sums.mass, stride));
    if ((thread & (lanes - 1u)) >= stride) { sums = Sums(sums.count + other.count, add(sums.mass, other.mass)); }
  }
  return sums;
}

fn scan(count: u32, mass: vec2<u32>) {
  let lane = thread & (lanes - 1u);
  let group = thread / lanes;
  let sums = scan_lanes(count, mass);
  workgroupBarrier();
  if (lane == lanes - 1u) {
    counts[group] = sums.count;
    atomicStore(&low[group], sums.mass.x);
    atomicStore(&high[group], sums.mass.y);
  }
  workgroupBarrier();
  let is_group = lane < cells / lanes;
  let place = select(0u, lane, is_group);
  let groups = scan_lanes(select(0u, counts[place], is_group), select(vec2<u32>(0u), mass_at(place), is_group));
  let before = Sums(subgroupShuffle(groups.count, max(group, 1u) - 1u), subgroupShuffle(groups.mass, max(group, 1u) - 1u));
  workgroupBarrier();
  if (group == 0u) { put(sums.count, sums.mass); } else { put(sums.count + before.count, add(sums.mass, before.mass)); }
  workgroupBarrier();
}

// Sorts what was gathered, the first `count` cells, by order and then by id; the cells after them hold the largest numbers.
fn sort(count: u32) {
  workgroupBarrier();
  var mine = vec2<u32>(orders[thread], ids[thread]);
  let is_active = (thread & ~(lanes - 1u)) < 2u * count;
  for (var size = 2u; size < 2u * count; size <<= 1u) {
    for (var stride = size >> 1u; stride > 0u; stride >>= 1u) {
      var other = mine;
      if (stride >= lanes) {
        workgroupBarrier();
        orders[thread] = mine.x;
        ids[thread] = mine.y;
        workgroupBarrier();
        other = vec2<u32>(orders[thread ^ stride], ids[thread ^ stride]);
      } else if (is_active) {
        other = subgroupShuffleXor(mine, stride);
      }
      let is_first = mine.x < other.x || (mine.x == other.x && mine.y < other.y);
      if (is_first != (((thread & stride) == 0u) == ((thread & size) == 0u))) { mine = other; }
    }
  }
  workgroupBarrier();
  orders[thread] = mine.x;
  ids[thread] = mine.y;
  workgroupBarrier();
}
