// sampleDraw: draws the token of each row that sample_maximum.wgsl left ready, one workgroup a row: top-k (with the equals of the k-th), top-p (the best whose
// mass reaches p), min-p, then the inverse of the cumulative distribution. Masses are whole numbers, so the token depends on nothing but the logits, the seed
// and the position. Leaves tallies of 0. Twins: draw and shortlist in wasm/host/src/sampler.
@group(0) @binding(1) var<storage, read_write> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> made: array<u32>;
@group(0) @binding(3) var<storage, read_write> last: array<u32>;
@group(0) @binding(4) var<storage, read_write> tallies: array<vec2<u32>>; // [row][bucket], as sample_buckets.wgsl left them
@group(0) @binding(5) var<storage, read> factors: array<vec2<u32>>; // of buckets: e^(-bucket / 32) times 2^20 is x / 2^y

const all: u32 = 0xffffffff;

var<private> row: u32;
var<private> thread: u32;
var<private> scale: Scale;

@compute @workgroup_size(cells)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  row = group.x;
  thread = local;
  let settings = rows[row];
  if (settings.is_ready == 0u) { return; }
  scale = scale_of(settings);
  add_buckets_up();
  let number = counts[cells - 1u];
  var whole = mass_at(cells - 1u);
  var kept = whole;
  let end = bucket_of(settings.min_exponent);
  if (end < last_bucket) { kept = mass_through(end); }
  let uniform_bits = philox(vec2<u32>(settings.position_low, settings.position_high), vec2<u32>(settings.seed_low, settings.seed_high)) & 0xffffff00u;
  var token = 0u;
  for (var stage = 0u; stage < 3u; stage++) {
    var aim = Target(stage == 0u, vec2<u32>(settings.top_k - 1u, 0u));
    if (stage == 0u) {
      if (settings.top_k == 0u || settings.top_k > number) { continue; }
    } else if (stage == 1u) {
      if (settings.top_p == all) { continue; }
      let limit = share(whole, settings.top_p);
      aim.mass = subtract(limit, vec2<u32>(min(limit.x | limit.y, 1u), 0u));
    } else {
      aim.mass = share(kept, uniform_bits);
    }
    let found = descend(aim);
    token = found.id;
    if (stage == 0u) { whole = found.mass; }
    if (less(found.mass, kept)) { kept = found.mass; }
  }
  for (var bucket = thread * own; bucket < (thread + 1u) * own; bucket++) { tallies[row * buckets + bucket] = vec2<u32>(0u); }
  if (thread == 0u) { make(row, token); }
}
