// Numbers in descending order of the logits; both zeros are the same. -infinity has the last, NaN aside.
const last_order: u32 = 0xff800000;

fn order_of(bits: u32) -> u32 {
  if (bits == 0x80000000u) { return 0x7fffffffu; }
  return select(bits ^ 0x7fffffffu, bits, bits >= 0x80000000u);
}
fn bits_of(order: u32) -> u32 { return select(order ^ 0x7fffffffu, order, order >= 0x80000000u); }
