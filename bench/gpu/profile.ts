/**
 * Where a step's time goes on the GPU: the full SmolLM3-3B shape with random weights, kernel by kernel.
 *
 * `deno run -A bench/gpu/profile.ts [--format q4_0,q8_0,bf16,q4_k] [--rows 1,8,32] [--context 512] [--prefill 512,2048] [--past 0] [--marginal] [--layers 36] [--vocab 128256]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { describeProfile } from "../../cli/bench_profile.ts";
import type { Format } from "../../engine/formats.ts";
import { smolLM3 } from "../../engine/smollm3.ts";
import { requestGpu } from "../../gpu/device.ts";
import { measureBandwidth, type Profile, profileBatch, profileWalk } from "../../gpu/profile.ts";
import { Batches, compileRandom, fullShape } from "./model.ts";

const { values: args } = parseArgs({
  options: {
    format: { type: "string", default: "q4_0,q8_0,bf16" },
    rows: { type: "string", default: "1,8,32" },
    context: { type: "string", default: "512" },
    prefill: { type: "string", default: "512,2048" },
    marginal: { type: "boolean", default: false },
    past: { type: "string", default: "0" },
    layers: { type: "string", default: "36" },
    vocab: { type: "string", default: "128256" },
  },
});
const numbers = (text: string) => text.split(",").filter(Boolean).map(Number);
const rows = numbers(args.rows), prefills = numbers(args.prefill), contexts = numbers(args.context), pasts = numbers(args.past), blockSize = 16;
const config = fullShape(Number(args.layers), Number(args.vocab)),
  batches = new Batches(config, blockSize),
  program = smolLM3(config),
  gpu = await requestGpu();
const bytesPerSecond = await measureBandwidth(gpu);
console.log(`${gpu.name}, reads ${(bytesPerSecond / 1e9).toFixed(0)} GB/s`);

for (const format of args.format.split(",") as Format[]) {
  const blocks = Math.max(
    ...rows.map((count) => count * Math.ceil((Math.max(...contexts) + 64) / blockSize)),
    ...prefills.map((count) => Math.ceil((Math.max(...pasts) + count) / blockSize)),
  );
  const { executable } = await compileRandom(gpu, program, format, {
    maxRows: Math.max(512, ...prefills, ...rows),
    maxOutputs: Math.max(4, ...rows),
    maxSequences: Math.max(2, ...rows),
    blockSize,
    blocks,
  });
  const show = (title: string, nTokens: number, nPast: number, profile: Profile) =>
    console.log(describeProfile(`${format}, ${title}`, { bytesPerSecond, steps: [{ nTokens, nPast, ...profile }] }));
  const blockTable = Uint32Array.from({ length: blocks }, (_, i) => i);
  for (const context of contexts) {
    const walk = await profileWalk(executable, batches.next([1], context, blockTable), batches.rotations(context + 1, 63));
    if (walk) show("walk", 1, context, walk);
    for (const count of rows) show("sequences", count, context, await profileBatch(executable, batches.decode(count, context), args));
  }
  for (const past of pasts) {
    for (const count of prefills) {
      const ids = Array.from({ length: count }, (_, i) => i * 7919 % config.vocabSize);
      show("prompt", count, past, await profileBatch(executable, batches.next(ids, past, blockTable), args));
    }
  }
  executable.close();
}
Deno.exit(0);
