/**
 * The tokenizer with the Llama-3 vocabulary, beside Hugging Face's JavaScript one: `deno bench -A bench/tokenizer_bench.ts`.
 *
 * Texts are made from the prose and the code of this repository, and from common Chinese words; a rate in MB/s of UTF-8 goes with each name.
 * Encoding the text as UTF-8 and copying the ids out is part of the time.
 *
 * @module
 */
// deno-lint-ignore no-import-prefix -- a peer of this benchmark only: in deno.json it would be downloaded before the first answer
import { Tokenizer as PeerTokenizer } from "npm:@huggingface/tokenizers@^0.1.0";
import { parseTokenizerJson } from "../engine/loader/tokenizer_json.ts";
import { loadHost } from "../wasm/host.ts";

const root = new URL("..", import.meta.url);
const file = await Deno.open(new URL("tests/fixtures/smollm3/tokenizer.json.gz", root));
const json = await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).text();
const spec = parseTokenizerJson(json, "tokenizer.json"), host = await loadHost();
const bpe = host.createTokenizer(spec), peer = new PeerTokenizer(JSON.parse(json), {});

let state = 1;
const random = (limit: number) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % limit;
/** `length` units of randomly chosen items. */
function shuffled(items: readonly string[], length: number): string {
  let text = "";
  while (text.length < length) text += items[random(items.length)];
  return text;
}

function filesOf(folder: URL, ending: string): string[] {
  return Array.from(Deno.readDirSync(folder)).flatMap((entry) => {
    const path = new URL(entry.name + (entry.isDirectory ? "/" : ""), folder);
    return entry.isDirectory ? filesOf(path, ending) : entry.name.endsWith(ending) ? [Deno.readTextFileSync(path)] : [];
  });
}

const code = ["engine/", "api/", "wasm/"].flatMap((folder) => filesOf(new URL(folder, root), ".ts")).filter((text) => !text.startsWith("// Generated"));
const prose = code.flatMap((text) => text.match(/^ *\*+ [A-Z].*\.$/gm) ?? []).map((line) => line.replace(/^ *\*+ /, "") + " ");
const characters =
  "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同";
const words = Array.from({ length: 5000 }, () => Array.from({ length: 1 + random(3) }, () => characters[random(random(characters.length) + 1)]).join(""));
const phrases = Array.from(
  { length: 20000 },
  () => Array.from({ length: 3 + random(8) }, () => words[random(random(words.length) + 1)]).join("") + "，。、；！"[random(5)],
);

const texts = { English: shuffled(prose, 2e6), code: shuffled(code, 2e6), Chinese: shuffled(phrases, 7e5) };

for (const [name, text] of Object.entries(texts)) {
  const megabytes = new TextEncoder().encode(text).length / 1e6;
  const label = (who: string) => `${name}, ${megabytes.toFixed(1)} MB: ${who}`;
  Deno.bench(label("smolder"), { group: name, baseline: true, n: 20, warmup: 5 }, () => void bpe.encode(text));
  const tenth = text.slice(0, text.length / 20);
  Deno.bench(label("@huggingface/tokenizers, a twentieth of it"), { group: name, n: 3, warmup: 1 }, () => void peer.encode(tenth));
  const ids = bpe.encode(text).ids;
  Deno.bench(label("smolder, decode"), { group: name, n: 20, warmup: 5 }, () => void bpe.decode(ids));
}

Deno.bench("tables of 128,256 tokens and 280,147 merges", { group: "start", n: 10, warmup: 3 }, () => host.createTokenizer(spec).free());
