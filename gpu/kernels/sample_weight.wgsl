// What a logit weighs beside the largest one, e^((x - max) / temperature), without the exponential function: `portion` * 2^-24 * e^(-bucket / 64), bucket
// the nearest to the exponent. Whole numbers, so that sums do not depend on their order. Twin: wasm/host/src/sampler/scale.rs.
const buckets: u32 = 2048;
// Everything 32 nats below the maximum or more, where nothing counts.
const last_bucket: u32 = 2047;
const per_nat: f32 = 64.0;

struct Scale {
  max: f32,
  times: f32,
  min_exponent: f32,
}
struct Weight {
  bucket: u32,
  portion: u32,
}

// top: as sample_peaks.wgsl leaves it. A row that cannot be drawn has NaN or nothing above -infinity.
fn can_draw(row: Row, top: vec2<u32>) -> bool { return row.kind == drawn_row && top.y == 0u && ~top.x < last_order; }
fn scale_of(row: Row, top: vec2<u32>) -> Scale {
  return Scale(min(bitcast<f32>(bits_of(~top.x)), 3.40282347e38), row.times, row.min_exponent);
}

fn bucket_of(exponent: f32) -> u32 { return u32(min(exponent * -per_nat + 0.5, f32(last_bucket))); }

// Logits are in the order of their buckets, and what min-p leaves ends with a bucket: what it drops of that bucket counts with the next.
fn weigh(bits: u32, scale: Scale) -> Weight {
  let exponent = (min(bitcast<f32>(bits), 3.40282347e38) - scale.max) * scale.times;
  var bucket = bucket_of(exponent);
  if (exponent < scale.min_exponent && bucket == bucket_of(scale.min_exponent)) { bucket += 1u; }
  if (bits == 0xff800000u || bucket >= last_bucket) { return Weight(last_bucket, 0u); }
  let r = exponent + f32(bucket) / per_nat;
  let power = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r / 24.0)));
  return Weight(bucket, u32(power * 16777216.0));
}
