/**
 * Puts the source of the persistent walk together: WGSL cannot pass a binding to a function, and functions know the format of their weights, so what depends on
 * these is written once and stamped as often as needed, under other names.
 *
 * @module
 */

/** What a matrix is multiplied by: the binding it lies in and its format. Stamps names that end in `_W`. */
export interface Source {
  /** Which of the weight bindings. */
  readonly binding: number;
  /** Its name. */
  readonly format: string;
  /** Kernel parts of the format. */
  readonly parts: readonly string[];
}

/** Matrices of a layer, as names in persistent_layer.wgsl end: q and k, v, o, gate and up, down. */
export const roles = ["QK", "V", "O", "GU", "D"] as const;

/** Layers that differ in nothing but where they lie. Stamps names that end in `_L`. */
export interface Kind {
  /** What multiplies with each of the matrices. */
  readonly sources: Readonly<Record<typeof roles[number], Source>>;
  /** Which of the cache bindings. */
  readonly cache: number;
  /** Places in a layer from its q on, by their names in the source. */
  readonly places: Readonly<Record<string, number>>;
}

/** Bindings before the first of the weights. */
const ownBindings = 10;

/** Makes the source: every stamp that is needed, the bindings, and `main`. */
export function stampedSource(kinds: readonly Kind[], table: Source, head: Source, weightBindings: number, cacheBindings: number) {
  return (files: ReadonlyMap<string, string>): string => {
    const out: string[] = [], split = new Map(Array.from(files, ([name, text]) => [name, splitFile(text)] as const));
    for (const [name, { plain }] of split) out.push(`// ${name}.wgsl\n${plain}`);

    const sources = [...new Map([...kinds.flatMap((kind) => Object.values(kind.sources)), table, head].map((source) => [nameOf(source), source])).values()];
    const formatParts = new Set(sources.flatMap(({ parts }) => parts));
    for (const source of sources) {
      const names = { W: nameOf(source) };
      for (const [name, { bySource }] of split) {
        if (formatParts.has(name) && !source.parts.includes(name)) continue;
        out.push(renamed(bySource.join("\n").replaceAll("weights_W", `weights_${source.binding}`), names));
      }
    }
    kinds.forEach((kind, i) => {
      const names = { L: `k${i}`, ...Object.fromEntries(roles.map((role) => [role, nameOf(kind.sources[role])])) };
      out.push(...Object.entries(kind.places).map(([place, at]) => `const ${place}_k${i} = ${at >>> 0}u;`));
      for (const { byKind } of split.values()) out.push(renamed(byKind.join("\n").replaceAll("cache_L", `cache_${kind.cache}`), names));
    });
    const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
    const bindings = [
      ...numbers(weightBindings).map((i) => `@group(0) @binding(${ownBindings + i}) var<storage, read> weights_${i}: array<vec4<u32>>;`),
      ...numbers(cacheBindings).map((i) =>
        `@group(0) @binding(${ownBindings + weightBindings + i}) @coherent var<storage, read_write> cache_${i}: array<vec4<u32>>;`
      ),
    ];
    const walk = `fn layer(info: Layer) {\n${kinds.map((_, i) => `  if (info.kind == ${i}u) { layer_k${i}(info); }`).join("\n")}\n}`;
    return renamed([...bindings, ...out, walk].join("\n"), { T: nameOf(table), H: nameOf(head) });
  };
}

function nameOf({ binding, format }: Source): string {
  return `w${binding}_${format}`;
}

/** Gives names another ending: `{ W: "x" }` makes `name_x` out of `name_W`. */
function renamed(text: string, endings: Readonly<Record<string, string>>): string {
  return text.replace(/\b(\w+?)_([A-Z]+)\b/g, (name, stem, ending) => ending in endings ? `${stem}_${endings[ending]}` : name);
}

/** Tells functions, structs and constants whose names end in `_W` and in `_L` from everything else. */
function splitFile(text: string): { plain: string; bySource: string[]; byKind: string[] } {
  const bySource: string[] = [], byKind: string[] = [];
  const plain = text.replace(/^(?:fn|struct|const) \w+_([WL])\b(?:.*[;}]$|[\s\S]*?^\}$)/gm, (code, ending) => {
    (ending === "W" ? bySource : byKind).push(code);
    return "";
  });
  return { plain, bySource, byKind };
}
