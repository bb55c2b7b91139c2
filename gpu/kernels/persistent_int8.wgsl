// Activations of quantized weights: 16 values a slot as signed bytes in one unit of 16, with their scale and, for the zero point of 4-bit weights, 8 * scale * sum.
const slot_units = 1u;
const slot_scales = true;
const staged_units = 768u;

// 16 adjacent lanes hold the 16 values of `slot`.
fn emit(value: f32, slot: u32, on: bool) {
  var most = abs(value);
  most = max(most, subgroupShuffleXor(most, 1u));
  most = max(most, subgroupShuffleXor(most, 2u));
  most = max(most, subgroupShuffleXor(most, 4u));
  most = max(max(most, subgroupShuffleXor(most, 8u)), 1e-20);
  let scale = most / 127.0;
  let q = i32(round(value / scale));
  var sum = q;
  sum += subgroupShuffleXor(sum, 1u);
  sum += subgroupShuffleXor(sum, 2u);
  sum += subgroupShuffleXor(sum, 4u);
  sum += subgroupShuffleXor(sum, 8u);
  let byte = u32(q & 255) << ((lane & 3u) * 8u);
  let two = byte | subgroupShuffleXor(byte, 1u);
  let four = two | subgroupShuffleXor(two, 2u);
  let first = lane & 16u;
  let unit = vec4<u32>(subgroupShuffle(four, first), subgroupShuffle(four, first | 4u), subgroupShuffle(four, first | 8u), subgroupShuffle(four, first | 12u));
  if (on && (lane & 15u) == 0u) {
    act[slot] = unit;
    act_scales[slot] = vec2<f32>(scale, 8.0 * scale * f32(sum));
  }
}
