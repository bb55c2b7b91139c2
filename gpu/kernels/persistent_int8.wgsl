// Activations of quantized weights: 16 values a slot as signed bytes with their scale; staged with scale * sum for the zero points and minimums of weights.
const slot_units = 2u;
const staged_units = most_slots;
var<workgroup> staged_scales: array<vec2<f32>, most_slots>;

// 16 adjacent lanes hold the 16 values of `slot`.
fn emit(value: f32, squares: f32, slot: u32, on: bool) {
  var most = abs(value);
  most = max(most, subgroupShuffleXor(most, 1u));
  most = max(most, subgroupShuffleXor(most, 2u));
  most = max(most, subgroupShuffleXor(most, 4u));
  most = max(max(most, subgroupShuffleXor(most, 8u)), 1e-20);
  let scale = most / 127.0;
  let byte = u32(i32(round(value / scale)) & 255) << ((lane & 3u) * 8u);
  let two = byte | subgroupShuffleXor(byte, 1u);
  let four = two | subgroupShuffleXor(two, 2u);
  let first = lane & 16u;
  let data = vec3<u32>(subgroupShuffle(four, first), subgroupShuffle(four, first | 4u), subgroupShuffle(four, first | 8u));
  let last = vec3<u32>(subgroupShuffle(four, first | 12u), bitcast<u32>(scale), bitcast<u32>(squares));
  let unit = lane & 15u;
  if (on && unit < 2u * copies) { mail[unit_of(unit >> 1u, slot, unit & 1u)] = vec4<u32>(select(data, last, (unit & 1u) == 1u), epoch); }
}

// Brings `count` slots of input into workgroup memory, with their sums of squares where they are to be normalised.
fn stage(slot: u32, count: u32, norm: bool) {
  var squares = 0.0;
  for (var i = thread; i < count; i += threads) {
    let at = unit_of(wg % copies, slot + i, 0u);
    let further = unit_of(wg % copies, slot + i, 1u);
    var a = mail[at];
    var b = mail[further];
    for (var spins = 1u; a.w != epoch || b.w != epoch; spins++) {
      if (in_vain(spins)) { break; }
      a = mail[at];
      b = mail[further];
    }
    let ones = 0x01010101u;
    let sum = dot4I8Packed(a.x, ones) + dot4I8Packed(a.y, ones) + dot4I8Packed(a.z, ones) + dot4I8Packed(b.x, ones);
    let scale = bitcast<f32>(b.y);
    staged[i] = vec4<u32>(a.xyz, b.x);
    staged_scales[i] = vec2<f32>(scale, scale * f32(sum));
    squares += bitcast<f32>(b.z);
  }
  if (norm) {
    let sum = subgroupAdd(squares);
    if (lane == 0u) { square_sums[slice] = sum; }
  }
  workgroupBarrier();
}

// A block of 32 nibbles, low and high ones of each word in turn, times its two slots: the product, and the sum of the activations.
fn dot_nibbles(u: vec4<u32>, block: u32) -> vec2<f32> {
  let a = staged[2u * block];
  let b = staged[2u * block + 1u];
  let sa = staged_scales[2u * block];
  let sb = staged_scales[2u * block + 1u];
  let low = 0x0f0f0f0fu;
  let first = dot4I8Packed(u.x & low, a.x) + dot4I8Packed((u.x >> 4u) & low, a.y) + dot4I8Packed(u.y & low, a.z) + dot4I8Packed((u.y >> 4u) & low, a.w);
  let second = dot4I8Packed(u.z & low, b.x) + dot4I8Packed((u.z >> 4u) & low, b.y) + dot4I8Packed(u.w & low, b.z) + dot4I8Packed((u.w >> 4u) & low, b.w);
  return vec2<f32>(f32(first) * sa.x + f32(second) * sb.x, sa.y + sb.y);
}
fn nibble_of(unit: vec4<u32>, k: u32) -> u32 { return (unit[(k >> 3u) & 3u] >> (8u * (k & 3u) + (k & 4u))) & 15u; }
