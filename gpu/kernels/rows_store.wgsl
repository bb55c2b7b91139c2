// The end of a linear for few rows: adds the sums of the 16 slices of K (with `gated` 8 slices are of gate, 8 of up) and of the two halves of a 16-row group.
override few: u32; // rows of a workgroup: 1, 2, 4 or 8
override partial_size: u32; // few * 512

var<workgroup> partial: array<f32, partial_size>; // [few][slice][lane]

fn leave(thread: u32, sums: Eight) {
  partial[thread] = sums.low.x;
  if (few > 1u) { partial[512u + thread] = sums.low.y; }
  if (few > 2u) {
    partial[1024u + thread] = sums.low.z;
    partial[1536u + thread] = sums.low.w;
  }
  if (few > 4u) {
    partial[2048u + thread] = sums.high.x;
    partial[2560u + thread] = sums.high.y;
    partial[3072u + thread] = sums.high.z;
    partial[3584u + thread] = sums.high.w;
  }
}
fn eight_slices(at: u32) -> f32 {
  return ((partial[at] + partial[at + 32u]) + (partial[at + 64u] + partial[at + 96u])) + ((partial[at + 128u] + partial[at + 160u]) + (partial[at + 192u] + partial[at + 224u]));
}
fn store_rows(group: vec3<u32>, thread: u32) {
  workgroupBarrier();
  let lane = thread & 31u;
  let r = thread >> 5u;
  let row = group.y * few + r;
  let at = r * 512u + lane;
  if (r < few && row < row_count()) {
    if (matrix.half > 0u) {
      let o = 16u * group.x + lane;
      if (lane < 16u && o < matrix.rows) {
        store(row, o, (eight_slices(at) + eight_slices(at + 256u)) + (eight_slices(at + 16u) + eight_slices(at + 272u)));
      }
    } else {
      let o = 32u * group.x + lane;
      if (matrix.gated > 0u) {
        if (o < matrix.gated) { keep_gated(r, lane, store_gated(row, o, eight_slices(at), eight_slices(at + 256u))); }
      } else if (o < matrix.rows) {
        store(row, o, eight_slices(at) + eight_slices(at + 256u));
      }
    }
  }
  if (matrix.gated > 0u) {
    workgroupBarrier();
    if (thread < few && group.y * few + thread < row_count()) { leave_kept(thread, (group.y * few + thread) * (matrix.gated >> 5u) + group.x); }
  }
}
