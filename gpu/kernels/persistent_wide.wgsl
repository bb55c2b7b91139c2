// Activations of bf16 weights: bf16 as well (rounded to nearest even), 16 values a slot.
const slot_units = 3u;
const staged_units = 2u * most_slots;

fn emit(value: f32, squares: f32, slot: u32, on: bool) {
  let bits = bitcast<u32>(value);
  let half = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  let other = subgroupShuffleXor(half, 1u);
  let word = select(half | (other << 16u), other | (half << 16u), (lane & 1u) == 1u);
  let copy = (lane & 15u) / 3u;
  let unit = (lane & 15u) % 3u;
  let first = lane & 16u;
  let a = subgroupShuffle(word, first | ((6u * unit) & 15u));
  let b = subgroupShuffle(word, first | ((6u * unit + 2u) & 15u));
  let c = subgroupShuffle(word, first | ((6u * unit + 4u) & 15u));
  if (on && copy < copies) { mail[unit_of(copy, slot, unit)] = vec4<u32>(a, b, select(c, bitcast<u32>(squares), unit == 2u), epoch); }
}

// Brings `count` slots of input into workgroup memory, with their sums of squares where they are to be normalised.
fn stage(slot: u32, count: u32, norm: bool) {
  var squares = 0.0;
  for (var i = thread; i < count; i += threads) {
    let at = vec3<u32>(unit_of(wg % copies, slot + i, 0u), unit_of(wg % copies, slot + i, 1u), unit_of(wg % copies, slot + i, 2u));
    var a = mail[at.x];
    var b = mail[at.y];
    var c = mail[at.z];
    for (var spins = 1u; a.w != epoch || b.w != epoch || c.w != epoch; spins++) {
      if (in_vain(spins)) { break; }
      a = mail[at.x];
      b = mail[at.y];
      c = mail[at.z];
    }
    staged[2u * i] = vec4<u32>(a.xyz, b.x);
    staged[2u * i + 1u] = vec4<u32>(b.yz, c.xy);
    squares += bitcast<f32>(c.z);
  }
  if (norm) {
    let sum = subgroupAdd(squares);
    if (lane == 0u) { square_sums[slice] = sum; }
  }
  workgroupBarrier();
}

fn low(x: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(x << vec4<u32>(16u)); }
fn high(x: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(x & vec4<u32>(0xffff0000u)); }
