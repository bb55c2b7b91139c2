/**
 * Where a step's time goes on the GPU: the full SmolLM3-3B shape with random weights, kernel by kernel.
 *
 * `deno run -A bench/gpu/profile.ts [--format q4_0,q8_0,bf16,q4_k] [--rows 1,8,32] [--context 512] [--prefill 512,2048] [--layers 36] [--vocab 128256]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { Batch } from "../../engine/batch.ts";
import type { Format } from "../../engine/formats.ts";
import type { CompileOptions } from "../../engine/backend.ts";
import { smolLM3 } from "../../engine/smollm3.ts";
import { requestGpu } from "../../gpu/device.ts";
import type { Dispatch, Grid } from "../../gpu/dispatch.ts";
import { lower } from "../../gpu/lower.ts";
import { ProgramMemory } from "../../gpu/memory.ts";
import { measureBandwidth, type Profile, profileStep, type Ready, timed } from "../../gpu/profile.ts";
import { Batches, formatsOf, fullShape, writeRandom } from "./model.ts";

const { values: args } = parseArgs({
  options: {
    format: { type: "string", default: "q4_0,q8_0,bf16" },
    rows: { type: "string", default: "1,8,32" },
    context: { type: "string", default: "512" },
    prefill: { type: "string", default: "512,2048" },
    layers: { type: "string", default: "36" },
    vocab: { type: "string", default: "128256" },
  },
});
const numbers = (text: string) => text.split(",").filter(Boolean).map(Number);
const rows = numbers(args.rows), prefills = numbers(args.prefill), contexts = numbers(args.context), blockSize = 16;
const config = fullShape(Number(args.layers), Number(args.vocab)),
  batches = new Batches(config, blockSize),
  program = smolLM3(config),
  gpu = await requestGpu();
const bytesPerSecond = await measureBandwidth(gpu);
console.log(`${gpu.name}, reads ${(bytesPerSecond / 1e9).toFixed(0)} GB/s`);

for (const format of args.format.split(",") as Format[]) {
  const blocks = Math.max(
    ...rows.map((count) => count * Math.ceil((Math.max(...contexts) + 1) / blockSize)),
    ...prefills.map((count) => Math.ceil(count / blockSize)),
  );
  const options: CompileOptions = {
    maxRows: Math.max(512, ...prefills, ...rows),
    maxOutputs: Math.max(4, ...rows),
    maxSequences: Math.max(2, ...rows),
    maxContext: blocks * blockSize,
    blockSize,
    blocks,
    cacheType: "f16",
    activations: "int8",
    formats: formatsOf(program, format),
    threads: 1,
  };
  const memory = new ProgramMemory(gpu, program, options);
  await memory.allocate();
  await memory.weights.prepare();
  writeRandom(program, memory.weights.write.bind(memory.weights), format);
  await memory.weights.finish();
  const dispatches = lower(program, options, memory);
  const show = async (title: string, batch: Batch) => {
    const counts = memory.inputs.write(batch);
    const ready = await Promise.all(dispatches.flatMap((dispatch) => {
      const grid = dispatch.grid(counts);
      return grid ? [bound(dispatch, grid)] : [];
    }));
    print(`${format}, ${title}`, await profileStep(gpu, timed(ready, batch, counts)));
  };
  for (const context of contexts) {
    for (const count of rows) await show(`${count} sequences at ${context}`, batches.decode(count, context));
  }
  const blockTable = Uint32Array.from({ length: blocks }, (_, i) => i);
  for (const count of prefills) {
    await show(`prompt of ${count}`, batches.next(Array.from({ length: count }, (_, i) => i * 7919 % config.vocabSize), 0, blockTable));
  }
  memory.destroy();
}
Deno.exit(0);

async function bound(dispatch: Dispatch, grid: NonNullable<Grid>): Promise<Ready> {
  const { pipeline, layout } = await gpu.pipelines.get(dispatch.kernel);
  const entries = dispatch.resources.map((resource, binding) => ({ binding, resource: resource instanceof GPUBuffer ? { buffer: resource } : resource }));
  return { dispatch, pipeline, group: gpu.device.createBindGroup({ layout, entries }), grid };
}

function print(title: string, { rows, stepUs }: Profile): void {
  const sumUs = rows.reduce((sum, { timeUs }) => sum + timeUs, 0), bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
  const ms = (us: number) => `${(us / 1000).toFixed(3)} ms`;
  console.log(`\n### ${title}: ${ms(stepUs)} in one pass, ${ms(sumUs)} in all its parts; floor ${ms(bytes / bytesPerSecond * 1e6)}\n`);
  console.log("| kernel | number | us each | us | % | MB | GB/s | of the floor | TFLOP/s |\n| --- | --: | --: | --: | --: | --: | --: | --: | --: |");
  for (const { kernel, count, timeUs, bytes, operations } of rows) {
    const cells = [
      kernel,
      count,
      (timeUs / count).toFixed(1),
      timeUs.toFixed(0),
      (timeUs / sumUs * 100).toFixed(1),
      (bytes / 1e6).toFixed(1),
      (bytes / timeUs / 1e3).toFixed(0),
      `${(bytes / bytesPerSecond / timeUs * 1e8).toFixed(0)} %`,
      (operations / timeUs / 1e6).toFixed(1),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
