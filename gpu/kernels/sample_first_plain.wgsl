// The first of the largest values that the threads of a workgroup found; the first thread has it.
var<workgroup> values: array<f32, threads>;
var<workgroup> places: array<u32, threads>;
var<workgroup> sizes: array<u32, threads>;

fn first_of(thread: u32, peak: Peak) -> Peak {
  var found = peak;
  values[thread] = found.value;
  places[thread] = found.place;
  sizes[thread] = found.size;
  for (var half = threads >> 1u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (thread < half) {
      let other = thread + half;
      if (values[other] > found.value || (values[other] == found.value && places[other] < found.place)) {
        found.value = values[other];
        found.place = places[other];
        values[thread] = found.value;
        places[thread] = found.place;
      }
      found.size = max(found.size, sizes[other]);
      sizes[thread] = found.size;
    }
  }
  return found;
}
