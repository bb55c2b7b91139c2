// What sample_first_plain.wgsl does, with subgroups: no more of them than each has lanes.
override lanes: u32;

var<workgroup> values: array<f32, threads / lanes>;
var<workgroup> places: array<u32, threads / lanes>;
var<workgroup> sizes: array<u32, threads / lanes>;

fn first_of_lanes(peak: Peak) -> Peak {
  let value = subgroupMax(peak.value);
  return Peak(value, subgroupMin(select(no_token, peak.place, peak.value == value)), subgroupMax(peak.size));
}

fn first_of(thread: u32, peak: Peak) -> Peak {
  let mine = first_of_lanes(peak);
  let group = thread / lanes;
  values[group] = mine.value;
  places[group] = mine.place;
  sizes[group] = mine.size;
  workgroupBarrier();
  let other = min(thread & (lanes - 1u), threads / lanes - 1u);
  return first_of_lanes(Peak(values[other], places[other], sizes[other]));
}
