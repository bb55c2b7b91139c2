/**
 * Puts the source of the persistent walk together: functions whose names end in `_W` are repeated for each pair of weight and cache bindings, because WGSL
 * cannot pass a binding to a function.
 *
 * @module
 */

/** Layers whose weights share a binding and whose caches do. */
export interface Segment {
  readonly first: number;
  count: number;
  readonly weights: GPUBuffer;
  readonly cache: GPUBuffer;
  /** Where the first layer begins: units of 16 bytes, words of scales, units of 16 bytes of its cache. */
  readonly at: readonly [number, number, number];
}

/** Repeats what ends in `_W` for each segment (and for the table and the head) and adds bindings and `main`. */
export function stampedSource(segments: readonly Segment[], weights: readonly GPUBuffer[], caches: readonly GPUBuffer[], table: GPUBuffer, head: GPUBuffer) {
  const stamps = segments.map((segment, i) => ({ suffix: `_s${i}`, weights: weights.indexOf(segment.weights), cache: caches.indexOf(segment.cache) }));
  return (sources: ReadonlyMap<string, string>): string => {
    const stamp = (text: string, suffix: string, weight: number, cache: number) =>
      text.replaceAll("weights_W", `weights_${weight}`).replaceAll("cache_W", `cache_${cache}`).replaceAll("_W", suffix);
    const once: string[] = [], out: string[] = [];
    for (const [name, text] of sources) {
      const { plain, stamped } = splitFunctions(text);
      once.push(`// ${name}.wgsl\n${plain}`);
      for (const { suffix, weights: weight, cache } of stamps) out.push(stamp(stamped.join("\n"), suffix, weight, cache));
    }
    const ends = (buffer: GPUBuffer, suffix: string) => {
      const weight = weights.indexOf(buffer), same = stamps.find((entry) => entry.weights === weight);
      if (same) return same.suffix;
      for (const text of sources.values()) {
        const wanted = splitFunctions(text).stamped.filter((code) => !code.includes("cache_W") && !code.includes("fn layers_W"));
        out.push(stamp(wanted.join("\n"), suffix, weight, 0));
      }
      return suffix;
    };
    const begin = ends(table, "_t"), last = ends(head, "_h");
    const bindings = [
      ...weights.map((_, i) => `@group(0) @binding(${12 + i}) var<storage, read> weights_${i}: array<vec4<u32>>;`),
      ...caches.map((_, i) => `@group(0) @binding(${12 + weights.length + i}) @coherent var<storage, read_write> cache_${i}: array<vec4<u32>>;`),
    ];
    const calls = segments.map((segment, i) => `  layers_s${i}(${segment.first}u, ${segment.count}u, ${segment.at.map((at) => `${at}u`).join(", ")});`);
    const main = `@compute @workgroup_size(512)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  wg = group.x;
  thread = index;
  lane = index & 31u;
  slice = index >> 5u;
  phase = 0u;
  begin${begin}();
${calls.join("\n")}
  head${last}();
}`;
    return [...bindings, ...once, ...out, main].join("\n");
  };
}

/** Tells the functions whose names end in `_W` from everything else. */
function splitFunctions(text: string): { plain: string; stamped: string[] } {
  const stamped: string[] = [];
  const plain = text.replace(/^fn \w+_W\((?:.*\}$|[\s\S]*?^\}$)/gm, (code) => {
    stamped.push(code);
    return "";
  });
  return { plain, stamped };
}
