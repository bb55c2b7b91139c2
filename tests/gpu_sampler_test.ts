/**
 * The sampler on the GPU against the host's: token by token.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { noToken, type RowSampling } from "../engine/backend.ts";
import type { PenaltyRow } from "../engine/host.ts";
import { type Gpu, requestGpu } from "../gpu/device.ts";
import { Readback } from "../gpu/readback.ts";
import { TokenSampler } from "../gpu/token_sampler.ts";
import { loadHost } from "../wasm/host.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";
import { random } from "./random_model.ts";

const { sampler: host } = await loadHost(), gpu = hasAdapter ? await requestGpu() : undefined!;
const greedy: RowSampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 7n, position: 0 };

/** A sampler with its logits, and what comes back from it. */
class Drawing {
  readonly #gpu: Gpu;
  readonly #logits: GPUBuffer;
  readonly #readback: Readback;
  readonly #sampler: TokenSampler;

  private constructor(on: Gpu, logits: GPUBuffer, readback: Readback, sampler: TokenSampler) {
    [this.#gpu, this.#logits, this.#readback, this.#sampler] = [on, logits, readback, sampler];
  }

  static async create(on: Gpu, vocabSize: number, maxOutputs: number, maxSteps: number): Promise<Drawing> {
    const bytes = Math.max(16, Math.ceil(vocabSize * maxOutputs / 4) * 16), usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const logits = on.device.createBuffer({ size: bytes, usage });
    return new Drawing(
      on,
      logits,
      await Readback.create(on.device, bytes + maxOutputs * (maxSteps + 1) * 4),
      new TokenSampler(on, vocabSize, maxOutputs, maxSteps, logits),
    );
  }

  /**
   * Draws a token of each row in each step.
   *
   * @param logits For each step, `[sampling.length, vocabSize]`.
   * @returns Tokens of each step, and the logits as the last one leaves them.
   */
  async draw(logits: readonly Float32Array[], sampling: readonly (RowSampling | undefined)[]) {
    const { device } = this.#gpu, rows = sampling.length, steps = logits.length, bytes = logits[0].byteLength, madeBytes = steps * rows * 4;
    await this.#sampler.prepare(sampling, steps);
    let encoder = device.createCommandEncoder();
    for (const values of logits) {
      device.queue.writeBuffer(this.#logits, 0, values as Float32Array<ArrayBuffer>);
      const pass = encoder.beginComputePass();
      this.#sampler.record(pass);
      pass.end();
      device.queue.submit([encoder.finish()]);
      encoder = device.createCommandEncoder();
    }
    this.#readback.record(encoder, this.#logits, 0, bytes);
    this.#readback.record(encoder, this.#sampler.made, 0, madeBytes, bytes);
    this.#readback.record(encoder, this.#sampler.last, 0, rows * 4, bytes + madeBytes);
    device.queue.submit([encoder.finish()]);
    const read = await this.#readback.read(bytes + madeBytes + rows * 4);
    const made = logits.map((_, step) => new Uint32Array(read, bytes + step * rows * 4, rows)), last = new Uint32Array(read, bytes + madeBytes);
    assertEquals(last, made[steps - 1].map((token) => token === noToken ? 0 : token));
    return { made, logits: new Float32Array(read, 0, bytes / 4) };
  }

  destroy(): void {
    for (const used of [this.#logits, this.#readback, this.#sampler]) used.destroy();
  }
}

/** Draws with a sampler that is made for it. */
async function drawOnGpu(logits: readonly Float32Array[], sampling: readonly (RowSampling | undefined)[], on: Gpu = gpu) {
  const drawing = await Drawing.create(on, logits[0].length / sampling.length, sampling.length, logits.length);
  const result = await drawing.draw(logits, sampling);
  drawing.destroy();
  return result;
}

/** A device that lets workgroups have so many threads only, with subgroups or without. */
function withThreads(threads: number, subgroups = false): Gpu {
  const { maxComputeWorkgroupSizeX, maxComputeWorkgroupStorageSize } = gpu.limits;
  const limits = { maxComputeWorkgroupSizeX, maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup: threads };
  return { ...gpu, limits: limits as GPUSupportedLimits, subgroups, subgroupSize: subgroups ? gpu.subgroupSize : 0 };
}

/** Repeatable logits, bell-shaped. */
function noise(seed: number, length: number, spread = 4): Float32Array {
  let state = seed >>> 0;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length }, () => (next() + next() + next() - 1.5) * spread);
}

/** Rows side by side. */
function join(rows: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(rows.length * rows[0].length);
  rows.forEach((row, i) => all.set(row, i * row.length));
  return all;
}

for (const vocabSize of [1, 5, 64, 4096, 4097, 49152, 128256]) {
  gpuTest(`gpu sampler: greedy takes the first maximum of ${vocabSize} logits`, async () => {
    const some = noise(vocabSize, vocabSize), top = some.reduce((a, b) => Math.max(a, b)), inf = Infinity;
    const ties = some.map((x, i) => i % 3 === 2 || i === vocabSize - 1 ? top : x);
    const rows = [some, ties, some.map((_, i) => i === vocabSize >> 1 ? -3e38 : -inf), some.map((_, i) => i % 2 ? 0 : -0), some.map((_, i) => i < 3 ? 1 : inf)];
    const want = host.sample(join(rows), rows.map(() => greedy)).map(({ tokenId }) => tokenId);
    const bad = [some.map((x, i) => i === vocabSize - 1 ? NaN : x), some.map(() => -inf), some];
    const { made } = await drawOnGpu([join([...rows, ...bad])], [...rows.map(() => greedy), greedy, greedy, undefined]);
    assertEquals([...made[0]], [...want, noToken, noToken, noToken]);
  });
}

/** The number that a row draws with: the upper 24 bits of the first word of Philox4x32-10. */
function uniformOf({ seed, position }: RowSampling): number {
  const low = (x: bigint) => BigInt.asUintN(32, x), key = BigInt.asUintN(64, seed);
  let counter = [low(BigInt(position)), BigInt(position) >> 32n, 0n, 0n], [a, b] = [low(key), key >> 32n];
  for (let round = 0; round < 10; round++) {
    const x = 0xd2511f53n * counter[0], y = 0xcd9e8d57n * counter[2];
    counter = [(y >> 32n) ^ counter[1] ^ a, low(y), (x >> 32n) ^ counter[3] ^ b, low(x)];
    [a, b] = [low(a + 0x9e3779b9n), low(b + 0xbb67ae85n)];
  }
  return Number(counter[0] >> 8n) / 2 ** 24;
}

/** A token that is not the host's must be its neighbour in the host's distribution, with the draw on the boundary between the two. */
function assertDrawn(logits: Float32Array, row: RowSampling, token: number, what: string): void {
  const [{ tokenId }] = host.sample(logits, [row]);
  if (token === tokenId) return;
  const u = uniformOf(row);
  let before = 0;
  const found = host.distribution(logits, row).find(({ tokenId, probability }) => (before += probability, tokenId === token));
  const distance = found === undefined ? Infinity : Math.max(before - found.probability - u, u - before);
  assert(distance < 1e-6, `${what}: drew ${token} where the host draws ${tokenId}; the draw ${u} is ${distance} off`);
}

/** Draws rows side by side, in one step. */
async function checkDraws(rows: readonly { logits: Float32Array; row: RowSampling; what: string }[], on?: Gpu): Promise<void> {
  const { made: [made] } = await drawOnGpu([join(rows.map(({ logits }) => logits))], rows.map(({ row }) => row), on);
  rows.forEach(({ logits, row, what }, i) => assertDrawn(logits, row, made[i], what));
}

/** Rows of logits of every kind. */
function kindsOfLogits(vocabSize: number): Record<string, Float32Array> {
  const some = noise(vocabSize, vocabSize), inf = Infinity;
  return {
    "bell-shaped": some,
    "wide": some.map((x) => 10 * x),
    "narrow": some.map((x) => x / 1000),
    "peaked": some.map((x, i) => i === vocabSize >> 1 ? 30 : x),
    "all equal": some.map(() => -1.25),
    "two values": some.map((_, i) => i % 3 ? 1 : 2),
    "quantised": some.map((x) => Math.round(2 * x) / 2),
    "masked": some.map((x, i) => i % 5 ? -inf : x),
    "one of all": some.map((_, i) => i === vocabSize - 1 ? -3e38 : -inf),
    "infinite": some.map((x, i) => i % 7 === 3 ? inf : i % 7 === 4 ? -inf : x),
    "zeros of both signs": some.map((_, i) => i % 2 ? 0 : -0),
    "huge": some.map((x) => 1e30 * x),
  };
}

/** Settings of every kind. */
const settings: Partial<RowSampling>[] = [
  {},
  { temperature: 0.6 },
  { temperature: 2.5 },
  { temperature: 100 },
  { temperature: 1e-6 },
  { temperature: 1e-300 },
  { topK: 1 },
  { topK: 50 },
  { topK: 50, topP: 0.9 },
  { topK: 3000, topP: 0.99 },
  { topK: 20, topP: 0.8, minP: 0.05, temperature: 0.7 },
  { topP: 0.95 },
  { topP: 0.5, temperature: 1.5 },
  { topP: 1e-6 },
  { topP: 0 },
  { minP: 0.05 },
  { minP: 1 },
  { minP: 1e-9, topP: 0.999 },
  { minP: 0.02, topP: 0.6, temperature: 3 },
];

const shapes: [vocabSize: number, threads: number, subgroups?: "subgroups"][] = [
  [1, 64],
  [5, 64, "subgroups"],
  [1000, 256],
  [4096, 64, "subgroups"],
  [4097, 64],
  [49152, 128],
  [128256, 64, "subgroups"],
  [262144, 256],
];
for (const [vocabSize, threads, subgroups] of shapes) {
  gpuTest(`gpu sampler: ${threads} threads${subgroups ? " in subgroups" : ""} draw from ${vocabSize} logits as the host does`, async () => {
    const on = withThreads(threads, subgroups !== undefined), kinds = Object.entries(kindsOfLogits(vocabSize));
    for (const [kind, logits] of vocabSize < 100_000 ? kinds : kinds.filter((_, i) => i % 5 === 0)) {
      const rows = settings.filter((_, i) => vocabSize < 100_000 || i % 2 === 0).map((more, i) => {
        const row = { ...greedy, temperature: 1, seed: BigInt(vocabSize * 1000 + i) << 29n, position: 77 * i, ...more };
        return { logits, row, what: `${kind}, ${JSON.stringify(more)}` };
      });
      await checkDraws(rows, on);
    }
  });
}

gpuTest("gpu sampler: many draws of many settings, step by step, are the host's", async () => {
  const vocabSize = 777, steps = 20, next = random(11), pick = <T>(values: readonly T[]) => values[Math.floor(next() * values.length)];
  const on = withThreads(64), drawing = await Drawing.create(on, vocabSize, 40, steps);
  let others = 0;
  for (let request = 0; request < 5; request++) {
    const sampling = Array.from({ length: 40 - request }, (): RowSampling => ({
      temperature: pick([0, 0.3, 0.8, 1, 1.7]),
      topK: pick([0, 0, 1, 5, 40, 300]),
      topP: pick([1, 1, 0.99, 0.9, 0.6, 0.1]),
      minP: pick([0, 0, 0, 0.01, 0.2]),
      seed: BigInt(Math.floor(next() * 2 ** 50)) * 77777n - 5n,
      position: pick([0, 2 ** 32 - 7, 5 * 2 ** 32 + 3, 1000]),
    }));
    const logits = Array.from({ length: steps }, (_, step) => noise(100 * request + step, vocabSize * sampling.length, pick([0.5, 2, 4, 9])));
    const { made } = await drawing.draw(logits, sampling);
    for (let step = 0; step < steps; step++) {
      sampling.forEach((row, i) => {
        const values = logits[step].subarray(i * vocabSize, (i + 1) * vocabSize), now = { ...row, position: row.position + step };
        assertDrawn(values, now, made[step][i], `request ${request}, step ${step}, ${JSON.stringify({ ...now, seed: String(now.seed) })}`);
        others += Number(made[step][i] !== host.sample(values, [now])[0].tokenId);
      });
    }
  }
  drawing.destroy();
  assert(others <= 2, `${others} of ${5 * 38 * steps} draws fell on the other side of a boundary`);
});

gpuTest("gpu sampler: rows that cannot be drawn have no token and leave the others and the next step alone", async () => {
  const vocabSize = 130,
    row = { ...greedy, temperature: 1, topP: 0.9 },
    some = noise(1, vocabSize),
    infinities = some.map((_, i) => i % 2 ? Infinity : -Infinity);
  const rows = [some, some.map((x, i) => i === 129 ? NaN : x), some.map(() => -Infinity), some.map(() => NaN), some, infinities];
  const sampling = [row, row, { ...row, topK: 3 }, { ...row, topP: 1 }, undefined, row];
  const { made } = await drawOnGpu([join(rows), join(rows.map(() => some))], sampling);
  assertEquals([...made[0].subarray(1, 5)], [noToken, noToken, noToken, noToken]);
  assertDrawn(some, row, made[0][0], "first");
  assertDrawn(infinities, row, made[0][5], "infinite");
  sampling.forEach((settings, i) => settings && assertDrawn(some, { ...settings, position: 1 }, made[1][i], `second step, row ${i}`));
  assertEquals(made[1][4], noToken);
});

const none: PenaltyRow = { repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, promptTokenIds: [], outputTokenIds: [] };

gpuTest("gpu sampler: penalties change logits as the host does, step by step with what was drawn", async () => {
  const vocabSize = 300, steps = 12, prompt = Array.from({ length: 200 }, (_, i) => i * i % 70), output = Array.from({ length: 60 }, (_, i) => i * i % 11 + 60);
  const biases = new Map([[3, 1.7], [60, -0.3], [61, 40], [250, -Infinity], [299, 2.1]]);
  const penalties: (PenaltyRow | undefined)[] = [
    { ...none, promptTokenIds: prompt, outputTokenIds: output, repetitionPenalty: 1.3 },
    { ...none, promptTokenIds: prompt, outputTokenIds: output, frequencyPenalty: 0.7, presencePenalty: 0.1 },
    undefined,
    { repetitionPenalty: 0.9, frequencyPenalty: -0.3, presencePenalty: 1.1, promptTokenIds: [...prompt, 300, 1e6], outputTokenIds: output, logitBias: biases },
    { ...none, logitBias: biases },
    { ...none, presencePenalty: 50 },
    none,
  ];
  const sampling = penalties.map((penalties, i): RowSampling => ({
    ...greedy,
    temperature: i === 5 ? 0 : 1,
    topP: 0.9,
    seed: BigInt(i),
    position: i,
    penalties,
  }));
  const logits = Array.from(
    { length: steps },
    (_, step) => noise(step < 6 ? 1 : step, vocabSize * penalties.length).map((x, i) => i % 40 === 39 ? -Infinity : x),
  );
  const { made, logits: last } = await drawOnGpu(logits, sampling);
  sampling.forEach((row, i) => {
    for (let step = 0; step < steps; step++) {
      const values = logits[step].slice(i * vocabSize, (i + 1) * vocabSize);
      if (row.penalties) {
        host.penalize(values, {
          ...row.penalties,
          outputTokenIds: [...Array.from(row.penalties.outputTokenIds), ...made.slice(0, step).map((tokens) => tokens[i])],
        });
      }
      assertDrawn(values, { ...row, position: row.position + step }, made[step][i], `row ${i}, step ${step}`);
      if (step === steps - 1) assertEquals(last.subarray(i * vocabSize, (i + 1) * vocabSize), values);
    }
  });
  assertEquals(new Set(made.map((tokens) => tokens[5])).size, steps, "a presence penalty of 50 lets no token come twice");
});

gpuTest("gpu sampler: one request's penalties are not the next one's, however many tokens they know", async () => {
  const vocabSize = 5000,
    drawing = await Drawing.create(gpu, vocabSize, 3, 2),
    logits = noise(2, 3 * vocabSize),
    ids = Array.from({ length: vocabSize }, (_, id) => id);
  for (const known of [10, 4000, 5000, 100]) {
    const penalties = [undefined, { ...none, repetitionPenalty: 1.7, promptTokenIds: ids.slice(-known) }, {
      ...none,
      presencePenalty: 3,
      outputTokenIds: ids.slice(0, known),
    }];
    const sampling = penalties.map((penalties, i): RowSampling => ({ ...greedy, temperature: 0.8, seed: BigInt(known + i), penalties }));
    const { made, logits: left } = await drawing.draw([logits], sampling);
    penalties.forEach((row, i) => {
      const values = logits.slice(i * vocabSize, (i + 1) * vocabSize);
      if (row) host.penalize(values, row);
      assertEquals(left.subarray(i * vocabSize, (i + 1) * vocabSize), values);
      assertDrawn(values, sampling[i], made[0][i], `${known} tokens, row ${i}`);
    });
  }
  const refused = (penalties: Partial<PenaltyRow>) => drawing.draw([logits], [{ ...greedy, penalties: { ...none, ...penalties } }, undefined, undefined]);
  await assertRejects(() => refused({ repetitionPenalty: 0 }), RangeError, "Cannot use a repetition penalty of 0");
  await assertRejects(() => refused({ logitBias: new Map([[vocabSize, 1]]) }), RangeError, "Cannot bias token 5000");
  drawing.destroy();
  await assertRejects(() => drawOnGpu([new Float32Array(1_000_001)], [greedy]), RangeError, "Cannot draw from 1000001 logits");
});
