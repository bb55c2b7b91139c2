// The numbers of fp4, exact in f32: a sign and three bits, twelfths; index 8 is 0 once more.
fn number(i: u32) -> f32 {
  var magnitudes = array<f32, 8>(0.0, 0.0052083334885537624, 0.6666666865348816, 1.0, 0.3333333432674408, 0.5, 0.1666666716337204, 0.25);
  return select(1.0, -1.0, i > 8u) * magnitudes[i & 7u];
}
