/**
 * llama.cpp compiled to Wasm (npm's @wllama/wllama), run in Deno with the few things of a browser that it asks for.
 *
 *     deno run -A --no-lock --unstable-raw-imports bench/peers/wllama.ts FILE.gguf THREADS PROMPT NEW
 *
 * Loads, decodes 8 tokens, prints a line of JSON; then measures once for each line on stdin and prints a line of JSON.
 * Version 2.4.0 is the last one with a call for one forward pass; 3.13.0 is driven through completions only and was slower here.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";

const start = performance.now();
const [path, threads, prompt, newTokens] = [Deno.args[0], ...Deno.args.slice(1, 4).map(Number)] as [string, number, number, number];

/** Put before every script that wllama starts: classic workers become module workers, and Emscripten takes Deno for a browser. */
const BROWSER = `globalThis.process = undefined;
globalThis.importScripts ??= () => {};
globalThis.Worker = class extends globalThis.Worker {
  constructor(url, { name } = {}) { super(url, { type: "module", name }); }
};
`;
const NativeBlob = Blob, NativeWorker = Worker;
Object.assign(globalThis, {
  document: { baseURI: import.meta.url },
  Worker: class extends NativeWorker {
    constructor(url: string | URL) {
      super(url, { type: "module" });
    }
  },
  Blob: class extends NativeBlob {
    constructor(parts: BlobPart[] = [], options?: BlobPropertyBag) {
      super(options?.type === "text/javascript" ? [BROWSER, ...parts] : parts, options);
    }
  },
});

const PACKAGE = "npm:@wllama/wllama@2.4.0/esm";
const { Wllama } = await import(`${PACKAGE}/index.js`);
/** Emscripten would ask XMLHttpRequest for a file. */
async function asset(name: string): Promise<string> {
  const { default: bytes } = await import(`${PACKAGE}/${name}`, { with: { type: "bytes" } });
  return `data:application/wasm;base64,${bytes.toBase64()}`;
}
const single = "single-thread/wllama.wasm", multi = "multi-thread/wllama.wasm";
const wllama = new Wllama({ [single]: await asset(single), [multi]: await asset(multi) }, {
  suppressNativeLog: true,
  logger: { debug() {}, log() {}, warn() {}, error: console.error },
});

const file = new NativeBlob([await Deno.readFile(path)]);
await wllama.loadModel([file], { n_threads: threads, n_ctx: prompt + newTokens + 8, n_batch: Math.max(prompt, 512) });
await wllama.decode(Array(8).fill(1), {});
console.log(JSON.stringify({ version: "2.4.0", startMs: performance.now() - start }));

let run = 0;
for await (const _ of createInterface(process.stdin)) {
  await wllama.kvClear();
  const t0 = performance.now();
  await wllama.decode(Array.from({ length: prompt }, (_, i) => 100 + (i * 7919 + run * 31) % 5000), {});
  const t1 = performance.now();
  for (let i = 0; i < newTokens; i++) await wllama.decode([100 + (i * 31 + run) % 5000], {});
  const t2 = performance.now();
  console.log(JSON.stringify({ prefill: prompt / (t1 - t0) * 1000, decode: newTokens / (t2 - t1) * 1000 }));
  run++;
}
Deno.exit(0);
