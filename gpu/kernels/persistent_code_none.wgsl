// No weights are looked up.
fn stage_code() {}
