// Bits of four logits of a row at once, where rows are multiples of four. `quad` < ceil(vocab / 4).
override vocab: u32;

@group(0) @binding(0) var<storage, read> logits: array<vec4<u32>>;

fn logits_at(row: u32, quad: u32) -> vec4<u32> { return logits[row * (vocab / 4u) + quad]; }
