// sampleDraw: draws the token of each row that is drawn, one workgroup a row: top-k (with the equals of the k-th), top-p (the best whose
// mass reaches p), min-p, then the inverse of the cumulative distribution. Masses are whole numbers, so the token depends on nothing but the logits, the seed
// and the position. Leaves tallies and tops of 0. Twins: draw and shortlist in wasm/host/src/sampler.
@group(0) @binding(1) var<storage, read_write> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> made: array<u32>;
@group(0) @binding(3) var<storage, read_write> last: array<u32>;
@group(0) @binding(4) var<storage, read_write> tallies: array<vec2<u32>>; // [row][bucket], as sample_buckets.wgsl left them
@group(0) @binding(5) var<storage, read> factors: array<vec2<u32>>; // of buckets: e^(-bucket / 64) times 2^20 is x / 2^y
@group(0) @binding(6) var<storage, read_write> tops: array<vec2<u32>>; // [row] and
@group(0) @binding(7) var<storage, read> peaks: array<f32>; // [row][thread] of what each thread visits, as sample_peaks.wgsl left them

const all: u32 = 0xffffffff;

var<private> row: u32;
var<private> thread: u32;
var<private> scale: Scale;
var<private> peak: f32;

@compute @workgroup_size(cells)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  row = group.x;
  thread = local;
  peak = peaks[row * cells + thread];
  let settings = rows[row];
  let top = tops[row];
  if (!can_draw(settings, top)) {
    if (thread == 0u && settings.kind == drawn_row) { finish(no_token); }
    return;
  }
  scale = scale_of(settings, top);
  add_buckets_up();
  let number = counts[cells - 1u];
  var whole = mass_at(cells - 1u);
  var kept = whole;
  let end = bucket_of(settings.min_exponent);
  if (end < last_bucket) { kept = mass_through(end); }
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
      aim.mass = share(kept, settings.draw);
    }
    let found = descend(aim);
    token = found.id;
    if (stage == 0u) { whole = found.mass; }
    if (less(found.mass, kept)) { kept = found.mass; }
  }
  for (var bucket = thread * own; bucket < (thread + 1u) * own; bucket++) { tallies[row * buckets + bucket] = vec2<u32>(0u); }
  if (thread == 0u) { finish(token); }
}

fn finish(token: u32) {
  tops[row] = vec2<u32>(0u);
  make(row, token);
}
