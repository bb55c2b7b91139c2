// Four adjacent activations. Past a row's end it reads what lies there: the weights are zero there.
fn x_at(at: u32) -> vec4<f32> { return vec4<f32>(x[at], x[at + 1u], x[at + 2u], x[at + 3u]); }
