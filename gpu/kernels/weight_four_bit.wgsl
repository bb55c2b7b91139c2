// Weights of bitsandbytes: value = rounded(number of the code * absmax). A block of 32 values is one unit of 16 bytes as in the file: of two neighbours the
// first in the high half of a byte. Of the words beside the units, those of a row are absmax of each pair of blocks, in f32; before them lie, once for the
// group and not for each row, the 16 numbers of the code (twice, where a group has 32 rows): looked up, they are cached more cheaply than they are computed.
// rounded_*.wgsl defines rounded. Where: layout.wgsl.
fn slots() -> u32 { return (matrix.blocks >> 1u) + 1u; }
fn absmax_of(row: u32, block: u32) -> f32 { return bitcast<f32>(scales[slot_index(row, 1u + (block >> 1u), slots())]); }
fn code_index(row: u32) -> u32 { return slot_index(row, 0u, slots()) - (row & 15u); }
fn number_at(code: u32, word: u32, shift: u32) -> f32 { return bitcast<f32>(scales[code + ((word >> shift) & 15u)]); }
fn weight_at(row: u32, k: u32) -> f32 {
  let word = weights[unit_index(row, k >> 5u, 1u, 0u)][(k >> 3u) & 3u];
  return rounded(vec4<f32>(number_at(code_index(row), word, (4u * (k & 7u)) ^ 4u) * absmax_of(row, k >> 5u))).x;
}
