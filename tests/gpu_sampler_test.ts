/**
 * The sampler on the GPU against the host's: token by token.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { noToken, type RowSampling } from "../engine/backend.ts";
import type { PenaltyRow } from "../engine/host.ts";
import { type Gpu, requestGpu } from "../gpu/device.ts";
import { Readback } from "../gpu/readback.ts";
import { TokenSampler } from "../gpu/token_sampler.ts";
import { loadHost } from "../wasm/host.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";

const { sampler: host } = await loadHost(), gpu = hasAdapter ? await requestGpu() : undefined!;
const greedy: RowSampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 7n, position: 0 };

/** Draws on the device: for each step, logits `[sampling.length, vocabSize]` and the tokens that were made of them. */
async function drawOnGpu(
  logits: readonly Float32Array[],
  sampling: readonly (RowSampling | undefined)[],
  on: Gpu = gpu,
  penalized: (values: Float32Array) => void = () => {},
): Promise<Uint32Array[]> {
  const { device } = on, bytes = logits[0].byteLength, usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffer = device.createBuffer({ size: Math.max(16, Math.ceil(bytes / 16) * 16), usage });
  const sampler = new TokenSampler(on, logits[0].length / sampling.length, sampling.length, logits.length, buffer);
  const readback = await Readback.create(device, (logits.length + 1) * sampling.length * 4);
  await sampler.prepare(sampling, logits.length);
  for (const values of logits) {
    device.queue.writeBuffer(buffer, 0, values as Float32Array<ArrayBuffer>);
    const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
    sampler.record(pass);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
  const encoder = device.createCommandEncoder(), madeBytes = logits.length * sampling.length * 4;
  readback.record(encoder, sampler.made, 0, madeBytes);
  readback.record(encoder, sampler.last, 0, sampling.length * 4, madeBytes);
  device.queue.submit([encoder.finish()]);
  const words = new Uint32Array(await readback.read(madeBytes + sampling.length * 4));
  const last = await Readback.create(device, bytes), copy = device.createCommandEncoder();
  last.record(copy, buffer, 0, bytes);
  device.queue.submit([copy.finish()]);
  penalized(new Float32Array(await last.read(bytes)));
  for (const used of [last, sampler, readback, buffer]) used.destroy();
  const made = logits.map((_, step) => words.subarray(step * sampling.length, (step + 1) * sampling.length));
  assertEquals(words.subarray(logits.length * sampling.length), made.at(-1)!.map((token) => token === noToken ? 0 : token));
  return made;
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
    const made = await drawOnGpu([join([...rows, ...bad])], [...rows.map(() => greedy), greedy, greedy, undefined]);
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
  const [made] = await drawOnGpu([join(rows.map(({ logits }) => logits))], rows.map(({ row }) => row), on);
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

for (const vocabSize of [1, 5, 1000, 4097, 49152]) {
  gpuTest(`gpu sampler: draws from ${vocabSize} logits as the host does`, async () => {
    for (const [kind, logits] of Object.entries(kindsOfLogits(vocabSize))) {
      const rows = settings.map((more, i) => {
        const row = { ...greedy, temperature: 1, seed: BigInt(vocabSize * 1000 + i) << 29n, position: 77 * i, ...more };
        return { logits, row, what: `${kind}, ${JSON.stringify(more)}` };
      });
      await checkDraws(rows);
    }
  });
}

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
  let last = new Float32Array();
  const made = await drawOnGpu(logits, sampling, gpu, (values) => last = values as Float32Array<ArrayBuffer>);
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
