// Bits of four logits of a row at once, where rows are no multiples of four: -infinity beyond the end. `quad` < ceil(vocab / 4).
override vocab: u32;

@group(0) @binding(0) var<storage, read> logits: array<u32>;

fn logit_at(row: u32, i: u32) -> u32 {
  if (i >= vocab) { return 0xff800000u; }
  return logits[row * vocab + i];
}
fn logits_at(row: u32, quad: u32) -> vec4<u32> {
  let i = 4u * quad;
  return vec4<u32>(logit_at(row, i), logit_at(row, i + 1u), logit_at(row, i + 2u), logit_at(row, i + 3u));
}
