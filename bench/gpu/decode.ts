/**
 * Decode (and, with --prefill 512,2048, prefill, with --batch 32, 32 sequences at once) of the full SmolLM3-3B shape with random weights on the GPU: the persistent walk against one dispatch a step, ids compared, tokens a second.
 *
 * `deno run -A bench/gpu/decode.ts [--format q4_0,q8_0,bf16] [--context 512] [--layers 36] [--prefill 512,2048] [--batch 32] [--compare]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { RopeTable } from "../../engine/rope.ts";
import type { Batch } from "../../engine/batch.ts";
import { type Format, rowBytes } from "../../engine/formats.ts";
import type { Program } from "../../engine/program.ts";
import { smolLM3 } from "../../engine/smollm3.ts";
import { requestGpu } from "../../gpu/device.ts";
import { GpuExecutable } from "../../gpu/executable.ts";
import { random, randomConfig, randomWeight } from "../../tests/random_model.ts";

const { values: args } = parseArgs({
  options: {
    format: { type: "string", default: "q4_0,q8_0,bf16" },
    context: { type: "string", default: "512" },
    layers: { type: "string", default: "36" },
    compare: { type: "boolean", default: false },
    tokens: { type: "string", default: "256" },
    prefill: { type: "string", default: "" },
    batch: { type: "string", default: "" },
  },
});
const layers = Number(args.layers), tokens = Number(args.tokens), batches = args.batch.split(",").filter(Boolean).map(Number), most = Math.max(1, ...batches);
const config = randomConfig({
  vocabSize: 128256,
  hiddenSize: 2048,
  intermediateSize: 11008,
  numHiddenLayers: layers,
  numAttentionHeads: 16,
  numKeyValueHeads: 4,
  headDim: 128,
  maxPositionEmbeddings: 65536,
  rope: { ropeType: "default", ropeTheta: 5e6 },
  noRopeLayers: Array.from({ length: layers }, (_, i) => (i + 1) % 4 === 0 ? 0 : 1),
  slidingWindows: Array.from({ length: layers }, () => 0),
});

/** Writes random weights: one random stretch of rows, used again and again at other offsets. */
function writeRandom(program: Program, executable: GpuExecutable, format: Format): number {
  const next = random(5), pools = new Map<number, Uint8Array>();
  let bytes = 0;
  for (const weight of program.weights) {
    if (weight.rows === 1) {
      for (const part of weight.parts) {
        executable.writeRows(
          part.tensor,
          0,
          new Uint8Array(Float32Array.from({ length: part.rows }, () => 0.8 + 0.4 * next()).buffer),
        );
      }
      continue;
    }
    const { cols } = weight, stride = rowBytes(format, cols);
    const pool = pools.get(cols) ?? randomWeight(format, 300, cols, next, 3 / Math.sqrt(cols)).bytes;
    pools.set(cols, pool);
    for (const part of weight.parts) {
      for (let row = 0; row < part.rows; row += 256) {
        const count = Math.min(256, part.rows - row), first = Math.floor(next() * (300 - count + 1));
        executable.writeRows(part.tensor, row, pool.subarray(first * stride, (first + count) * stride));
        bytes += count * stride;
      }
    }
  }
  return bytes;
}

const gpu = await requestGpu(), program = smolLM3(config), rope = new RopeTable(config), blockSize = 16;
console.log(gpu.name, { subgroups: gpu.subgroups, coherent: gpu.coherent, subgroupSize: gpu.subgroupSize, workgroups: gpu.workgroups });
for (const format of args.format.split(",") as Format[]) {
  for (const context of args.context.split(",").map(Number)) {
    const blocks = most * Math.ceil((Math.max(context, ...args.prefill.split(",").map(Number)) + tokens + 64) / blockSize),
      names = program.weights.flatMap(({ parts, rows }) => parts.map(({ tensor }) => [tensor, rows === 1 ? "f32" : format] as const));
    const started = performance.now();
    const executable = await GpuExecutable.compile(gpu, program, {
      maxRows: Math.max(512, ...args.prefill.split(",").map(Number)),
      maxOutputs: Math.max(4, most),
      maxSequences: Math.max(2, most),
      maxContext: blocks * blockSize,
      blockSize,
      blocks,
      cacheType: "f16",
      activations: "int8",
      formats: new Map(names),
      threads: 1,
    });
    const compiled = performance.now(), bytes = writeRandom(program, executable, format);
    await executable.finishWeights();
    console.log(
      `${format} ${(bytes / 1e9).toFixed(2)} GB: compiled in ${(compiled - started).toFixed(0)} ms, loaded in ${
        (performance.now() - compiled).toFixed(0)
      } ms; ${executable.whyNotPersistent ?? "persistent"}`,
    );
    const table = Uint32Array.from({ length: blocks }, (_, i) => (i * 7 + 3) % blocks).filter((_, i, all) => all.indexOf(all[i]) === i);
    const blockTable = table.length === blocks ? table : Uint32Array.from({ length: blocks }, (_, i) => blocks - 1 - i);
    const ropeRows = (first: number, count: number) => {
      const rows = new Float32Array(count * config.headDim);
      for (let i = 0; i < count; i++) rope.fill(rows, i, first + i, first + count);
      return rows;
    };
    const batch = (ids: number[], past: number): Batch => ({
      tokens: Uint32Array.from(ids),
      rope: ropeRows(past, ids.length),
      slots: Uint32Array.from(ids, (_, i) => blockTable[Math.floor((past + i) / blockSize)] * blockSize + (past + i) % blockSize),
      queryStarts: Uint32Array.of(0, ids.length),
      contextLengths: Uint32Array.of(past + ids.length),
      blockTables: blockTable,
      blocksPerSequence: blocks,
      outputRows: Uint32Array.of(ids.length - 1),
    });
    for (const rows of args.prefill.split(",").filter(Boolean).map(Number)) {
      const ids = Array.from({ length: rows }, (_, i) => (i * 7919 + 100) % config.vocabSize), times: number[] = [];
      for (let run = 0; run < 7; run++) {
        const started = performance.now();
        await executable.execute(batch(ids, 0));
        times.push(performance.now() - started);
      }
      const median = times.slice(2).sort((a, b) => a - b)[2];
      console.log(`  prefill of ${rows}: ${(rows / median * 1000).toFixed(0)} tokens/s, ${median.toFixed(1)} ms (median of 5, after 2)`);
    }
    for (const [count, outputs] of batches.flatMap((count) => [[count, count], [count, 1]])) {
      const each = Math.ceil((context + 1) / blockSize), tables = Uint32Array.from({ length: count * each }, (_, i) => i), times: number[] = [];
      const row = ropeRows(context, 1), angles = new Float32Array(count * config.headDim);
      for (let i = 0; i < count; i++) angles.set(row, i * config.headDim);
      for (let run = 0; run < 40; run++) {
        const started = performance.now();
        await executable.execute({
          tokens: Uint32Array.from({ length: count }, (_, i) => i * 7919 % config.vocabSize),
          rope: angles,
          slots: Uint32Array.from({ length: count }, (_, i) => i * each * blockSize + context),
          queryStarts: Uint32Array.from({ length: count + 1 }, (_, i) => i),
          contextLengths: new Uint32Array(count).fill(context + 1),
          blockTables: tables,
          blocksPerSequence: each,
          outputRows: Uint32Array.from({ length: outputs }, (_, i) => i),
        });
        times.push(performance.now() - started);
      }
      const median = times.slice(10).sort((a, b) => a - b)[15];
      console.log(
        `  ${count} sequences: ${(count / median * 1000).toFixed(0)} tokens/s in all, ${
          median.toFixed(2)
        } ms a step with the logits of ${outputs} read (median of 30, after 10)`,
      );
    }
    const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0 };
    const argmax = (logits: Float32Array) => logits.reduce((best, value, i) => value > logits[best] ? i : best, 0);
    const next = random(9), prompt = Array.from({ length: Math.min(context, 2048) }, () => Math.floor(next() * config.vocabSize));
    let logits: Float32Array = new Float32Array(), past = 0;
    for (let at = 0; at < prompt.length; at += 512) {
      logits = await executable.execute(batch(prompt.slice(at, at + 512), at));
      past = Math.min(at + 512, prompt.length);
    }
    past = Math.max(past, context); // longer contexts: what lies in the cache beyond the prompt is zeros, which costs the same to read
    const token = argmax(logits);
    if (args.compare && !executable.whyNotPersistent) {
      const one = await executable.execute(batch([token], past));
      const slow = one.slice();
      await executable.decode({ batch: batch([token], past), sampling: [greedy], steps: 1, rope: new Float32Array() });
      const fast = await executable.read("logits", 1);
      let dot = 0, a = 0, b = 0, worst = 0;
      slow.forEach((value, i) => {
        dot += value * fast[i];
        a += value * value;
        b += fast[i] * fast[i];
        worst = Math.max(worst, Math.abs(value - fast[i]));
      });
      console.log(
        `  against one dispatch a step: cosine ${(dot / Math.sqrt(a * b)).toFixed(6)}, worst ${worst.toFixed(4)} of ${
          Math.sqrt(a / slow.length).toFixed(4)
        } rms; argmax ${argmax(slow)} ${argmax(fast)}`,
      );
      const t = performance.now();
      for (let i = 0; i < 4; i++) await executable.execute(batch([token], past));
      console.log(`  one dispatch a step: ${((performance.now() - t) / 4).toFixed(2)} ms a token`);
    }
    if (executable.whyNotPersistent) continue;
    for (const steps of [1, 16, 64]) {
      let at = past, last = token;
      const times: number[] = [], made: number[] = [];
      for (let n = 0; n < Math.max(1, Math.floor(tokens / steps)) && made.length < tokens; n++) {
        const t = performance.now();
        const { tokens: ids } = await executable.decode({ batch: batch([last], at), sampling: [greedy], steps, rope: ropeRows(at + 1, steps - 1) });
        times.push(performance.now() - t);
        made.push(...ids);
        last = ids[steps - 1];
        at += steps;
      }
      const total = times.reduce((sum, time) => sum + time, 0), sorted = times.toSorted((x, y) => x - y), median = sorted[sorted.length >> 1];
      console.log(
        `  context ${context}, ${steps} a submit: ${(made.length / total * 1000).toFixed(1)} tokens/s in all, median ${
          (steps / median * 1000).toFixed(1)
        }; ids ${made.slice(0, 6).join(" ")}; distinct ${new Set(made).size}`,
      );
    }
    executable.close();
  }
}
Deno.exit(0);
