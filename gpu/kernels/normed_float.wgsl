// Normalised rows as f32.
@group(0) @binding(2) var<storage, read_write> normed: array<vec4<f32>>;
fn leave(thread: u32, at: u32, v: vec4<f32>, inside: bool) { if (inside) { normed[at] = v; } }
