// Rows as int8: per row and block of 32 values a scale absmax / 127 and 32 signed bytes. units [rows][inner / 4], factors [rows][inner / 32]: scale, scale * sum
// of the bytes. The 256 threads of a workgroup bring a unit of four values each, eight of them a block. Twin: prepare in wasm/model/src/linear.
@group(0) @binding(2) var<storage, read_write> units: array<u32>;
@group(0) @binding(3) var<storage, read_write> factors: array<vec2<f32>>;

var<workgroup> largest: array<f32, 256>;
var<workgroup> byte_sums: array<i32, 256>;

fn leave(thread: u32, at: u32, v: vec4<f32>, inside: bool) {
  let first = thread & 0xf8u;
  let size = abs(v);
  workgroupBarrier();
  largest[thread] = max(max(size.x, size.y), max(size.z, size.w));
  workgroupBarrier();
  let most = max(max(max(largest[first], largest[first + 1u]), max(largest[first + 2u], largest[first + 3u])),
    max(max(largest[first + 4u], largest[first + 5u]), max(largest[first + 6u], largest[first + 7u])));
  let bytes = pack4xI8(vec4<i32>(round(v * select(0.0, 127.0 / most, most > 1e-30))));
  byte_sums[thread] = dot4I8Packed(bytes, 0x01010101u);
  workgroupBarrier();
  if (!inside) { return; }
  units[at] = bytes;
  if (thread != first) { return; }
  let sum = ((byte_sums[first] + byte_sums[first + 1u]) + (byte_sums[first + 2u] + byte_sums[first + 3u])) +
    ((byte_sums[first + 4u] + byte_sums[first + 5u]) + (byte_sums[first + 6u] + byte_sums[first + 7u]));
  let scale = most / 127.0;
  factors[at >> 3u] = vec2<f32>(scale, scale * f32(sum));
}
