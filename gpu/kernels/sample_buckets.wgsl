// sampleBuckets: what the logits of each bucket weigh together, for rows that are drawn; a workgroup takes a slice of a row. Expects tallies of 0, which
// sample_draw.wgsl leaves. And the number that the row is drawn with. Twin: fill in wasm/host/src/sampler/buckets.rs.
override threads: u32;
override turns: u32; // quads of a thread
override quads: u32 = (vocab + 3u) / 4u;

@group(0) @binding(1) var<storage, read_write> rows: array<Row>;
@group(0) @binding(2) var<storage, read> tops: array<vec2<u32>>; // sample_peaks.wgsl
@group(0) @binding(3) var<storage, read_write> tallies: array<atomic<u32>>; // [row][bucket][low, high]

fn count(bits: u32, scale: Scale) {
  let weight = weigh(bits, scale);
  if (weight.bucket < last_bucket) { tally(weight.bucket, weight.portion); }
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.y;
  let settings = rows[row];
  if (!can_draw(settings, tops[row])) { return; }
  let scale = scale_of(settings, tops[row]);
  if (group.x == 0u && thread == 0u) {
    let random = philox(vec2<u32>(settings.position_low, settings.position_high), vec2<u32>(settings.seed_low, settings.seed_high));
    rows[row].draw = random & 0xffffff00u;
  }
  for (var turn = 0u; turn < turns; turn++) {
    let quad = (group.x * turns + turn) * threads + thread;
    if (quad < quads) {
      let bits = logits_at(row, quad);
      count(bits.x, scale);
      count(bits.y, scale);
      count(bits.z, scale);
      count(bits.w, scale);
    }
  }
  workgroupBarrier();
  for (var bucket = thread; bucket < last_bucket; bucket += threads) {
    let sum = atomicLoad(&low[bucket]);
    let more = atomicLoad(&high[bucket]);
    if (more == 0u) { continue; }
    let at = 2u * (row * buckets + bucket);
    let before = atomicAdd(&tallies[at], sum);
    atomicAdd(&tallies[at + 1u], more + u32(before > 0xffffffffu - sum));
  }
}
