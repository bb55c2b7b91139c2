// Rows to normalise that lie ready.
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
fn first_value(row: u32, i: u32, at: u32) -> vec4<f32> { return x[at]; }
