// Whole numbers of 64 bits: the lower word first.
fn multiply(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2<u32>(a * b, (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u));
}
fn add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.x + b.x;
  return vec2<u32>(low, a.y + b.y + u32(low < a.x));
}
fn subtract(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return vec2<u32>(a.x - b.x, a.y - b.y - u32(a.x < b.x)); }
fn less(a: vec2<u32>, b: vec2<u32>) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }

// a * b / 2^32.
fn share(a: vec2<u32>, b: u32) -> vec2<u32> { return add(multiply(a.y, b), vec2<u32>(multiply(a.x, b).y, 0u)); }

// a * b / 2^shift, shift in 1..63.
fn scaled(a: vec2<u32>, b: u32, shift: u32) -> vec2<u32> {
  let bottom = multiply(a.x, b);
  let top = add(multiply(a.y, b), vec2<u32>(bottom.y, 0u));
  let s = shift & 31u;
  let low = (top.x >> s) | ((top.y << 1u) << (31u - s));
  if (shift >= 32u) { return vec2<u32>(low, top.y >> s); }
  return vec2<u32>((bottom.x >> s) | ((top.x << 1u) << (31u - s)), low);
}
