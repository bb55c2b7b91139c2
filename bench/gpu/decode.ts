/**
 * Decode of the full SmolLM3-3B shape with random weights on the GPU, tokens a second: one sequence by the persistent walk, greedy, drawn, and with logits that
 * the host reads; with --compare against one dispatch a step; with --prefill 512,2048 prefill; with --batch 32 as many sequences at once, --steps 1,8 tokens of
 * each in a call.
 *
 * `deno run -A bench/gpu/decode.ts [--format q4_0,q8_0,bf16] [--context 512] [--layers 36] [--vocab 128256] [--prefill 512,2048] [--batch 32] [--steps 1,8] [--compare]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { RowSampling } from "../../engine/backend.ts";
import type { Batch } from "../../engine/batch.ts";
import type { Format } from "../../engine/formats.ts";
import { smolLM3 } from "../../engine/smollm3.ts";
import { requestGpu } from "../../gpu/device.ts";
import type { GpuExecutable } from "../../gpu/executable.ts";
import { random } from "../../tests/random_model.ts";
import { Batches, compileRandom, fullShape } from "./model.ts";

const { values: args } = parseArgs({
  options: {
    format: { type: "string", default: "q4_0,q8_0,bf16" },
    context: { type: "string", default: "512" },
    layers: { type: "string", default: "36" },
    vocab: { type: "string", default: "128256" },
    steps: { type: "string", default: "1,8,32" },
    rounds: { type: "string", default: "8" },
    compare: { type: "boolean", default: false },
    tokens: { type: "string", default: "256" },
    prefill: { type: "string", default: "" },
    batch: { type: "string", default: "" },
  },
});
const layers = Number(args.layers),
  tokens = Number(args.tokens),
  sequenceCounts = args.batch.split(",").filter(Boolean).map(Number),
  most = Math.max(1, ...sequenceCounts);
const config = fullShape(layers, Number(args.vocab)), blockSize = 16, batches = new Batches(config, blockSize);

const greedy: RowSampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0 },
  drawn: RowSampling = { ...greedy, temperature: 0.8, topP: 0.9 };
const ways = Object.entries({ greedy, "temperature 0.8, top-p 0.9": drawn });

/** Sequences at once: what a call with several steps and the sampler costs beside one whose logits the host reads; rounds alternate, medians. */
async function measureBatch(executable: GpuExecutable, count: number, context: number): Promise<void> {
  const calls: { name: string; steps: number; call: (batch: Batch) => Promise<unknown>; times: number[] }[] = [
    { name: `logits of ${count} read`, steps: 1, call: (batch) => executable.execute(batch), times: [] },
  ];
  for (const [name, row] of ways) {
    for (const steps of args.steps.split(",").map(Number)) {
      const sampling = new Array(count).fill(row), rope = new Float32Array((steps - 1) * count * config.headDim);
      for (let i = 0; i < rope.length / config.headDim; i++) rope.set(batches.rotations(context + 1 + Math.floor(i / count), 1), i * config.headDim);
      calls.push({ name: `${name}, ${steps} a call`, steps, call: (batch) => executable.decode({ batch, sampling, steps, rope }), times: [] });
    }
  }
  const ahead = Math.max(...calls.map(({ steps }) => steps)) - 1, wide = batches.decode(count, context + ahead);
  const slots = wide.slots.map((slot) => slot - ahead), contextLengths = new Uint32Array(count).fill(context + 1);
  const batch = { ...wide, rope: batches.decode(count, context).rope, slots, contextLengths };
  for (let round = 0; round < Number(args.rounds); round++) {
    for (const { steps, call, times } of calls) {
      for (let run = 0; run < Math.max(1, 24 / steps); run++) {
        const started = performance.now();
        await call(batch);
        if (round > 0) times.push((performance.now() - started) / steps);
      }
    }
  }
  for (const { name, times } of calls) {
    const sorted = times.toSorted((a, b) => a - b), median = sorted[sorted.length >> 1];
    console.log(
      `  ${count} sequences, ${name}: ${(count / median * 1000).toFixed(0)} tokens/s in all, ${median.toFixed(2)} ms a step (best ${sorted[0].toFixed(2)})`,
    );
  }
}

const gpu = await requestGpu(), program = smolLM3(config);
console.log(gpu.name, { subgroups: gpu.subgroups, coherent: gpu.coherent, subgroupSize: gpu.subgroupSize, workgroups: gpu.workgroups });
for (const format of args.format.split(",") as Format[]) {
  for (const context of args.context.split(",").map(Number)) {
    const blocks = most * Math.ceil((Math.max(context, ...args.prefill.split(",").map(Number)) + tokens + 64) / blockSize);
    const { executable, bytes, compileMs, loadMs } = await compileRandom(gpu, program, format, {
      maxRows: Math.max(512, ...args.prefill.split(",").map(Number)),
      maxOutputs: Math.max(4, most),
      maxSequences: Math.max(2, most),
      blockSize,
      blocks,
    });
    console.log(
      `${format} ${(bytes / 1e9).toFixed(2)} GB: compiled in ${compileMs.toFixed(0)} ms, loaded in ${loadMs.toFixed(0)} ms; ${
        executable.whyNotPersistent ?? "persistent"
      }`,
    );
    const table = Uint32Array.from({ length: blocks }, (_, i) => (i * 7 + 3) % blocks).filter((_, i, all) => all.indexOf(all[i]) === i);
    const blockTable = table.length === blocks ? table : Uint32Array.from({ length: blocks }, (_, i) => blocks - 1 - i);
    const batch = (ids: number[], past: number) => batches.next(ids, past, blockTable);
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
    for (const count of sequenceCounts) await measureBatch(executable, count, context);
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
      const bySteps = async () => {
        await executable.executeSteps(batch([token], past), 0, Infinity);
        return executable.read("logits", 1);
      };
      const slow = await bySteps();
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
      for (let i = 0; i < 4; i++) await bySteps();
      console.log(`  one dispatch a step: ${((performance.now() - t) / 4).toFixed(2)} ms a token`);
    }
    if (executable.whyNotPersistent) continue;
    const drawing = ways.flatMap(([name, row]) => [1, 16, 64].map((steps) => [name, row, steps] as const));
    for (const [name, row, steps] of [...drawing, ["logits read", undefined, 1] as const]) {
      let at = past, last = token;
      const times: number[] = [], made: number[] = [];
      for (let n = 0; n < Math.max(1, Math.floor(tokens / steps)) && made.length < tokens; n++) {
        const t = performance.now();
        const { tokens: ids, logits } = await executable.decode({
          batch: batch([last], at),
          sampling: [row && { ...row, position: at - past }],
          steps,
          rope: batches.rotations(at + 1, steps - 1),
        });
        times.push(performance.now() - t);
        if (row === undefined) ids[0] = argmax(logits);
        made.push(...ids);
        last = ids[steps - 1];
        at += steps;
      }
      const total = times.reduce((sum, time) => sum + time, 0), sorted = times.toSorted((x, y) => x - y), median = sorted[sorted.length >> 1];
      console.log(
        `  context ${context}, ${name}, ${steps} a call: ${(made.length / total * 1000).toFixed(1)} tokens/s in all, median ${
          (steps / median * 1000).toFixed(1)
        }; ids ${made.slice(0, 6).join(" ")}; distinct ${new Set(made).size}`,
      );
    }
    executable.close();
  }
}
Deno.exit(0);
