// Products of gate and up that the next linear reads as int8 (normed_int8.wgsl): a workgroup makes 32 outputs, which are a block, of up to 32 rows.
@group(0) @binding(8) var<storage, read_write> gated_units: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read_write> gated_factors: array<vec2<f32>>;

var<workgroup> kept: array<array<vec4<f32>, 9>, 32>; // [row][unit], one more against bank conflicts

fn keep_gated(r: u32, lane: u32, value: f32) { kept[r][lane >> 2u][lane & 3u] = value; }
fn largest_of(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn bytes_of_unit(r: u32, unit: u32, inverse: f32) -> u32 { return pack4xI8(vec4<i32>(round(kept[r][unit] * inverse))); }
fn sum_of_bytes(u: vec4<u32>) -> i32 {
  return (dot4I8Packed(u.x, 0x01010101u) + dot4I8Packed(u.y, 0x01010101u)) + (dot4I8Packed(u.z, 0x01010101u) + dot4I8Packed(u.w, 0x01010101u));
}
// A thread makes the block of row r; `block` counts the blocks of all rows.
fn leave_kept(r: u32, block: u32) {
  let most = largest_of(max(max(max(abs(kept[r][0]), abs(kept[r][1])), max(abs(kept[r][2]), abs(kept[r][3]))),
    max(max(abs(kept[r][4]), abs(kept[r][5])), max(abs(kept[r][6]), abs(kept[r][7])))));
  let inverse = select(0.0, 127.0 / most, most > 1e-30);
  let low = vec4<u32>(bytes_of_unit(r, 0u, inverse), bytes_of_unit(r, 1u, inverse), bytes_of_unit(r, 2u, inverse), bytes_of_unit(r, 3u, inverse));
  let high = vec4<u32>(bytes_of_unit(r, 4u, inverse), bytes_of_unit(r, 5u, inverse), bytes_of_unit(r, 6u, inverse), bytes_of_unit(r, 7u, inverse));
  let scale = most / 127.0;
  gated_units[2u * block] = low;
  gated_units[2u * block + 1u] = high;
  gated_factors[block] = vec2<f32>(scale, scale * f32(sum_of_bytes(low) + sum_of_bytes(high)));
}
