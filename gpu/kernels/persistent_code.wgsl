// The numbers of nf4 or fp4 in workgroup memory, where lanes look up different ones at once, and how their products with absmax are rounded. Numbers: code_*.wgsl.
var<workgroup> numbers: array<f32, 16>;
var<workgroup> one: f32;

fn stage_code() {
  if (thread < 16u) { numbers[thread] = number(thread); }
  if (thread == 0u) { one = 1.0; }
  workgroupBarrier();
}

// The nearest numbers of the type that the weights had, ties to even: beside round_spacing times its power of two a value has no bits to spare below those of the
// type. The sum is multiplied by a one that comes from memory, or a compiler would find that what is added is taken away again, and not round.
fn rounded(v: vec4<f32>) -> vec4<f32> {
  let far = power_of(v) * round_spacing;
  return fma(far + v, vec4<f32>(one), -far);
}
