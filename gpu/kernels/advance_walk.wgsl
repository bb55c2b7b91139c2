// advance_walk: gives the drawn token to the next dispatch of the persistent walk, which has put its own choice there.
@group(0) @binding(0) var<storage, read> drawn: array<u32>;
@group(0) @binding(1) var<storage, read_write> state: array<u32>; // token, position, step, stuck (persistent.wgsl)

@compute @workgroup_size(1)
fn main() { state[0] = drawn[0]; }
