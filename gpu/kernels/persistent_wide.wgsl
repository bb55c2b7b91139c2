// Activations of bf16 weights: bf16 as well (rounded to nearest even), 16 values a slot in two units of 16 bytes.
const slot_units = 2u;
const slot_scales = false;
const staged_units = 1536u;

fn emit(value: f32, slot: u32, on: bool) {
  let bits = bitcast<u32>(value);
  let half = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  let other = subgroupShuffleXor(half, 1u);
  let word = select(half | (other << 16u), other | (half << 16u), (lane & 1u) == 1u);
  let first = lane & 24u;
  let unit = vec4<u32>(subgroupShuffle(word, first), subgroupShuffle(word, first | 2u), subgroupShuffle(word, first | 4u), subgroupShuffle(word, first | 6u));
  if (on && (lane & 7u) == 0u) { act[slot * 2u + ((lane >> 3u) & 1u)] = unit; }
}
