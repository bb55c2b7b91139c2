// Sums of portions (sample_weight.wgsl) by cell: the lower 32 bits, and above them 12 more with the number of terms in the upper 20.
override cells: u32;

const count_shift: u32 = 12;
const sum_mask: u32 = 4095;

var<workgroup> low: array<atomic<u32>, cells>;
var<workgroup> high: array<atomic<u32>, cells>;

fn tally(cell: u32, portion: u32) {
  let before = atomicAdd(&low[cell], portion);
  atomicAdd(&high[cell], (1u << count_shift) + u32(before > 0xffffffffu - portion));
}
