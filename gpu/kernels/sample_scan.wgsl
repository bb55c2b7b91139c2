// Sums over the threads before and including each one: of numbers, and of masses of 64 bits, which lie where tallies do.
var<workgroup> counts: array<u32, cells>;

fn mass_at(cell: u32) -> vec2<u32> { return vec2<u32>(atomicLoad(&low[cell]), atomicLoad(&high[cell])); }

fn put(count: u32, mass: vec2<u32>) {
  counts[thread] = count;
  atomicStore(&low[thread], mass.x);
  atomicStore(&high[thread], mass.y);
}
