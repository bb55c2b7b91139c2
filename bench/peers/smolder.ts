/**
 * smolder through its public API: on the CPU, or with 0 threads on the GPU.
 *
 *     deno run -A bench/peers/smolder.ts FILE.gguf THREADS PROMPT NEW
 *
 * Loads, decodes 8 tokens, prints a line of JSON; then measures once for each line on stdin and prints a line of JSON.
 * Unlike the peers it also samples (the most likely token) and goes through the scheduler at every token.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { Engine } from "../../mod.ts";

const start = performance.now() - process.uptime() * 1000;
const [path, threads, prompt, newTokens] = [Deno.args[0], ...Deno.args.slice(1, 4).map(Number)] as [string, number, number, number];
const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));

await using engine = await Engine.fromPretrained(path, {
  ...(threads > 0 ? { device: "wasm", threads } : { device: "webgpu" }),
  maxModelLen: prompt + newTokens + 16,
  maxNumSeqs: 1,
  maxNumBatchedTokens: Math.min(Math.max(prompt, 512), 2048),
  enablePrefixCaching: false,
});

/** Computes a prompt and as many tokens after it as are asked for; the first comes with the prompt. */
async function measure(promptTokenIds: number[], maxTokens: number): Promise<{ prefillMs: number; decodeMs: number }> {
  const samplingParams = { temperature: 0, maxTokens, ignoreEos: true, detokenize: false, outputKind: "final" } as const;
  for await (const { timings, finished } of engine.generate({ promptTokenIds, samplingParams })) {
    if (!finished) continue;
    const { firstScheduledMs, firstTokenMs, finishedMs } = timings;
    return { prefillMs: firstTokenMs! - firstScheduledMs!, decodeMs: finishedMs! - firstTokenMs! };
  }
  throw new Error("The stream ended before the request did");
}

await measure(Array(8).fill(1), 1);
console.log(JSON.stringify({ version, startMs: performance.now() - start }));

let run = 0;
for await (const _ of createInterface(process.stdin)) {
  const { prefillMs, decodeMs } = await measure(Array.from({ length: prompt }, (_, i) => 100 + (i * 7919 + run * 31) % 5000), newTokens + 1);
  console.log(JSON.stringify({ prefill: prompt / prefillMs * 1000, decode: newTokens / decodeMs * 1000 }));
  run++;
}
