/**
 * The sampler on the GPU against the host's: token by token.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { noToken, type RowSampling } from "../engine/backend.ts";
import { type Gpu, requestGpu } from "../gpu/device.ts";
import { Readback } from "../gpu/readback.ts";
import { TokenSampler } from "../gpu/token_sampler.ts";
import { loadHost } from "../wasm/host.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";

const { sampler: host } = await loadHost(), gpu = hasAdapter ? await requestGpu() : undefined!;
const greedy: RowSampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 7n, position: 0 };

/** Draws on the device: for each step, logits `[sampling.length, vocabSize]` and the tokens that were made of them. */
async function drawOnGpu(logits: readonly Float32Array[], sampling: readonly (RowSampling | undefined)[], on: Gpu = gpu): Promise<Uint32Array[]> {
  const { device } = on, bytes = logits[0].byteLength, usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
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
  for (const used of [sampler, readback, buffer]) used.destroy();
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
