// Word `i` of a block's super-block, of `words` it has beside its units. Where: layout.wgsl, pack_*_k.wgsl.
fn word_of(row: u32, block: u32, words: u32, i: u32) -> u32 { return scales[slot_index(row, (block >> 3u) * words + i, (matrix.blocks >> 3u) * words)]; }
// Value k of a block of nibbles.
fn nibble_at(unit: vec4<u32>, k: u32) -> u32 { return (unit[(k >> 3u) & 3u] >> (8u * (k & 3u) + (k & 4u))) & 15u; }
