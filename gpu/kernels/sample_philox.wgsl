// The first word of Philox4x32-10 (Salmon et al. 2011). `multiply` comes from sample_wide.wgsl. Twin: wasm/host/src/sampler/philox.rs.
fn philox(position: vec2<u32>, seed: vec2<u32>) -> u32 {
  var counter = vec4<u32>(position, 0u, 0u);
  var key = seed;
  for (var round = 0u; round < 10u; round++) {
    let a = multiply(0xd2511f53u, counter.x);
    let b = multiply(0xcd9e8d57u, counter.z);
    counter = vec4<u32>(b.y ^ counter.y ^ key.x, b.x, a.y ^ counter.w ^ key.y, a.x);
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return counter.x;
}
