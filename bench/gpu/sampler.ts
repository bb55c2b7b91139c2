/**
 * GPU time of drawing a token: steps are recorded into one long submit, and variants take turns, so that clocks stay up and fall on all alike.
 *
 * `deno run -A bench/gpu/sampler.ts [--vocab 128256] [--rows 1,32] [--steps 500] [--rounds 7] [--threads 1024] [--only top-k]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { RowSampling } from "../../engine/backend.ts";
import { type Gpu, requestGpu } from "../../gpu/device.ts";
import { Readback } from "../../gpu/readback.ts";
import { TokenSampler } from "../../gpu/token_sampler.ts";
import { random } from "../../tests/random_model.ts";

const { values: args } = parseArgs({
  options: {
    vocab: { type: "string", default: "128256" },
    rows: { type: "string", default: "1,32" },
    steps: { type: "string", default: "500" },
    rounds: { type: "string", default: "7" },
    threads: { type: "string", default: "1024" },
    only: { type: "string", default: "" },
  },
});
const vocabSize = Number(args.vocab), steps = Number(args.steps), rounds = Number(args.rounds);
/** Of one token of SmolLM3-3B in q4_0 on an H100 (walk_phases.ts), for comparison. */
const tokenMicroseconds = 1097;

const plain: RowSampling = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 7n, position: 0 };
const penalties = {
  repetitionPenalty: 1.01,
  frequencyPenalty: 0.001,
  presencePenalty: 0.001,
  promptTokenIds: Array.from({ length: 800 }, (_, i) => i * 5 % vocabSize),
  outputTokenIds: Array.from({ length: 400 }, (_, i) => (i >> 1) * 7 % vocabSize),
};
const everything: Record<string, RowSampling> = {
  "greedy": { ...plain, temperature: 0 },
  "top-k 50, top-p 0.9": { ...plain, topK: 50, topP: 0.9 },
  "top-p 0.95": { ...plain, topP: 0.95 },
  "temperature alone": plain,
  "temperature 2": { ...plain, temperature: 2 },
  "min-p 0.05": { ...plain, minP: 0.05 },
  "greedy with penalties of 1,000 tokens": { ...plain, temperature: 0, penalties },
  "top-p 0.95 with penalties of 1,000 tokens": { ...plain, topP: 0.95, penalties },
};

const variants = Object.entries(everything).filter(([name]) => name.includes(args.only));

/** Logits of a text's kind: ranks in random order, the likelihood of each falling with its rank. */
function textLike(): Float32Array {
  const next = random(3), values = Float32Array.from({ length: vocabSize }, (_, rank) => 12 - 1.6 * Math.log(rank + 1));
  for (let i = vocabSize - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [values[i], values[j]] = [values[j], values[i]];
  }
  return values;
}
/** Bell-shaped ones, as of random weights. */
function bellShaped(): Float32Array {
  const next = random(4);
  return Float32Array.from({ length: vocabSize }, () => 4 * (next() + next() + next() + next() - 2));
}

function limitsOf({ limits: { maxComputeWorkgroupSizeX, maxComputeWorkgroupStorageSize } }: Gpu) {
  return { maxComputeWorkgroupSizeX, maxComputeWorkgroupStorageSize };
}

const all = await requestGpu(), { device } = all, threads = Number(args.threads);
const gpu: Gpu = { ...all, limits: { ...limitsOf(all), maxComputeInvocationsPerWorkgroup: threads } as GPUSupportedLimits };
console.log(`${gpu.name}: ${vocabSize} logits a row, ${threads} threads, ${steps} steps a submit, median of ${rounds}`);
for (const count of args.rows.split(",").map(Number)) {
  for (const [kind, values] of Object.entries({ "text-like": textLike(), "bell-shaped": bellShaped() })) {
    const make = () => {
      const logits = device.createBuffer({ size: count * vocabSize * 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
      for (let row = 0; row < count; row++) device.queue.writeBuffer(logits, row * vocabSize * 4, values as Float32Array<ArrayBuffer>);
      return { logits, sampler: new TokenSampler(gpu, vocabSize, count, steps, logits) };
    };
    // Penalties change logits again and again.
    const plainly = make(), penalized = make(), readback = await Readback.create(device, steps * count * 4);
    const times = new Map(variants.map(([name]) => [name, [] as number[]])), ids = new Map<string, Set<number>>();
    const prepared = new Map<string, number>();
    for (let round = 0; round < rounds + 1; round++) {
      for (const [name, row] of variants) {
        const { sampler } = row.penalties ? penalized : plainly, asked = performance.now();
        await sampler.prepare(Array.from({ length: count }, (_, i) => ({ ...row, seed: BigInt(i + 1) })), steps);
        prepared.set(name, Math.max(prepared.get(name) ?? 0, performance.now() - asked));
        const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
        for (let step = 0; step < steps; step++) sampler.record(pass);
        pass.end();
        readback.record(encoder, sampler.made, 0, steps * count * 4);
        const commands = encoder.finish(), started = performance.now();
        device.queue.submit([commands]);
        const made = new Uint32Array(await readback.read(steps * count * 4));
        if (round > 0) times.get(name)!.push((performance.now() - started) * 1000 / steps);
        ids.set(name, new Set(made));
      }
    }
    for (const [name, each] of times) {
      const median = each.sort((a, b) => a - b)[each.length >> 1];
      const shares = `${(100 * median / tokenMicroseconds).toFixed(1)} % of a token`;
      console.log(
        `${count} rows, ${kind}, ${name}: ${median.toFixed(1)} us a step (${each[0].toFixed(1)} to ${each.at(-1)!.toFixed(1)}), ${shares}; ${
          ids.get(name)!.size
        } different ids`,
      );
    }
    for (const used of [readback, ...Object.values(plainly), ...Object.values(penalized)]) used.destroy();
  }
}
Deno.exit(0);
