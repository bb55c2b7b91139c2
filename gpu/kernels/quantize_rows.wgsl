// quantize_rows: the int8 image of activation rows: per row and block of 32 values a scale absmax / 127 and 32 signed bytes, two units of 16 bytes.
// f32 in; units [rows][inner / 16], scales f32 [rows][inner / 32]. A thread makes one block. Twin: prepare in wasm/model/src/linear.
override inner: u32; // a multiple of 32

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> units: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> unit_scales: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let blocks = inner / 32u;
  if (id.x >= blocks) { return; }
  let block = id.y * blocks + id.x;
  let x0 = x[8u * block];
  let x1 = x[8u * block + 1u];
  let x2 = x[8u * block + 2u];
  let x3 = x[8u * block + 3u];
  let x4 = x[8u * block + 4u];
  let x5 = x[8u * block + 5u];
  let x6 = x[8u * block + 6u];
  let x7 = x[8u * block + 7u];
  let most4 = max(max(max(abs(x0), abs(x1)), max(abs(x2), abs(x3))), max(max(abs(x4), abs(x5)), max(abs(x6), abs(x7))));
  let most = max(max(most4.x, most4.y), max(most4.z, most4.w));
  let inverse = select(0.0, 127.0 / most, most > 0.0);
  units[2u * block] = vec4<u32>(packed(x0 * inverse), packed(x1 * inverse), packed(x2 * inverse), packed(x3 * inverse));
  units[2u * block + 1u] = vec4<u32>(packed(x4 * inverse), packed(x5 * inverse), packed(x6 * inverse), packed(x7 * inverse));
  unit_scales[block] = most / 127.0;
}

fn packed(v: vec4<f32>) -> u32 { return pack4xI8(vec4<i32>(round(v))); }
