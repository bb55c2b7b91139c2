// penalize: changes the logits of the tokens that a row's penalties know, in place and in this order: bias, repetition, frequency and presence. What the last
// step drew joins them first. One workgroup a row. Twin: penalize in wasm/sampler.ts, which computes in f64 and stores f32: hence the lower halves here.
override threads: u32;
override vocab: u32;

struct Entry {
  token: u32,
  uses: u32, // in the output; the top bit: in the prompt
  bias: f32,
  bias_low: f32,
}

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> rows: array<Row>;
@group(0) @binding(2) var<storage, read> made: array<u32>;
@group(0) @binding(3) var<storage, read_write> entries: array<Entry>;

const nothing: u32 = 0xffffffff;
const least = -3.40282347e38;

var<workgroup> is_known: u32;

fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) < 0x7f800000u; }

// Below, y has two halves, and a result is rounded once. `max` with the least number keeps compilers from simplifying a difference, or fusing a product with a sum.
fn plus(x: f32, y: vec2<f32>) -> f32 {
  let sum = x + y.x;
  if (!is_finite(sum)) { return sum; }
  let part = max(sum, least) - x;
  return sum + ((x - (sum - part)) + (y.x - part) + y.y);
}
// a * b - product, exactly: halves of 12 bits have exact products.
fn error_of(product: f32, a: f32, b: f32) -> f32 {
  let p = bitcast<f32>(bitcast<u32>(a) & 0xfffff000u);
  let q = bitcast<f32>(bitcast<u32>(b) & 0xfffff000u);
  return ((p * q - product) + p * (b - q) + (a - p) * q) + (a - p) * (b - q);
}
fn times(x: f32, y: vec2<f32>) -> f32 {
  let product = max(x * y.x, least);
  if (!is_finite(x * y.x)) { return x * y.x; }
  return product + (error_of(product, x, y.x) + x * y.y);
}
fn over(x: f32, y: vec2<f32>) -> f32 {
  let quotient = max(x / y.x, least);
  if (!is_finite(x / y.x)) { return x / y.x; }
  let product = max(quotient * y.x, least);
  return quotient + ((x - product) - error_of(product, quotient, y.x) - quotient * y.y) / y.x;
}

fn change(row: u32, entry: Entry, settings: Row) {
  let at = row * vocab + entry.token;
  var x = plus(logits[at], vec2<f32>(entry.bias, entry.bias_low));
  if (entry.uses > 0u) {
    let repetition = vec2<f32>(settings.repetition, settings.repetition_low);
    if (x < 0.0) { x = times(x, repetition); } else { x = over(x, repetition); }
  }
  let uses = entry.uses & 0x7fffffffu;
  if (uses > 0u) { x = plus(x, -vec2<f32>(settings.once, settings.once_low)); }
  for (var i = 1u; i < uses && settings.frequency != 0.0; i++) { x = plus(x, -vec2<f32>(settings.frequency, settings.frequency_low)); }
  logits[at] = x;
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let settings = rows[row];
  if (settings.first == nothing) { return; }
  var drawn = no_token;
  if (settings.at >= settings.stride) { drawn = made[settings.at - settings.stride]; }
  for (var i = settings.first + thread; i < settings.first + settings.entries; i += threads) {
    var entry = entries[i];
    if (entry.token == drawn) {
      entry.uses += 1u;
      entries[i].uses = entry.uses;
      is_known = 1u;
    }
    change(row, entry, settings);
  }
  workgroupBarrier();
  if (thread == 0u && drawn != no_token && is_known == 0u) {
    let entry = Entry(drawn, 1u, 0.0, 0.0);
    entries[settings.first + settings.entries] = entry;
    rows[row].entries = settings.entries + 1u;
    change(row, entry, settings);
  }
}
