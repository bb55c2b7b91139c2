// What threads of a workgroup do together, without subgroups: sums over threads, and sorting.

// The sums are in counts and mass_at afterwards. Four at a time: a barrier costs more than a sum.
fn scan(count: u32, mass: vec2<u32>) {
  var number = count;
  var sum = mass;
  for (var stride = 1u; stride < cells; stride <<= 2u) {
    workgroupBarrier();
    put(number, sum);
    workgroupBarrier();
    for (var back = stride; back < 4u * stride && back <= thread; back += stride) {
      number += counts[thread - back];
      sum = add(sum, mass_at(thread - back));
    }
  }
  workgroupBarrier();
  put(number, sum);
  workgroupBarrier();
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
