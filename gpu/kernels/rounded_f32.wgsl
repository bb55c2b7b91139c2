// Values of weights that were f32 before bitsandbytes packed them.
fn rounded(v: vec4<f32>) -> vec4<f32> { return v; }
