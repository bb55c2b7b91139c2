// Products of gate and up that are left as f32 only.
fn keep_gated(r: u32, lane: u32, value: f32) {}
fn leave_kept(r: u32, block: u32) {}
