// Sums over the threads before and including each one: of numbers, and of masses of 64 bits, which lie where tallies do.
var<workgroup> counts: array<u32, cells>;

fn mass_at(cell: u32) -> vec2<u32> { return vec2<u32>(atomicLoad(&low[cell]), atomicLoad(&high[cell])); }

// The sums are in counts and mass_at afterwards.
fn scan(count: u32, mass: vec2<u32>) {
  var number = count;
  var sum = mass;
  for (var stride = 1u; stride < cells; stride <<= 1u) {
    workgroupBarrier();
    counts[thread] = number;
    atomicStore(&low[thread], sum.x);
    atomicStore(&high[thread], sum.y);
    workgroupBarrier();
    if (thread >= stride) {
      number += counts[thread - stride];
      sum = add(sum, mass_at(thread - stride));
    }
  }
  workgroupBarrier();
  counts[thread] = number;
  atomicStore(&low[thread], sum.x);
  atomicStore(&high[thread], sum.y);
  workgroupBarrier();
}
