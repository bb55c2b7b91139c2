// read_memory: reads a buffer from one end to the other, 16 bytes a thread at a time, four at once; what memory bandwidth is measured with.
@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let stride = groups.x * 256u;
  let count = arrayLength(&source);
  var sum = vec4<u32>(0u);
  for (var i = id.x; i < count; i += 4u * stride) {
    sum |= source[i] | source[min(i + stride, count - 1u)] | source[min(i + 2u * stride, count - 1u)] | source[min(i + 3u * stride, count - 1u)];
  }
  // Zeros, as the buffer was made: nobody writes, but the compiler does not know.
  if (any(sum != vec4<u32>(0u))) { sums[0] = sum.x; }
}
