/**
 * A few of the random cases that _tools/fuzz_gpu.ts goes through for hours.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { createGpuBackend } from "../gpu/backend.ts";
import { createWasmBackend } from "../wasm/backend.ts";
import { loadHost } from "../wasm/host.ts";
import { gpuTest } from "./gpu_test_case.ts";
import { fuzzModel } from "./model_fuzz.ts";
import { fuzzRequests } from "./request_fuzz.ts";

const [threads, simd, host] = [await createWasmBackend({ build: "threads" }), await createWasmBackend({ build: "simd" }), await loadHost()];
const cpus = [
  { name: "threads 1", backend: threads, threads: 1 },
  { name: "threads 2", backend: threads, threads: 2 },
  { name: "simd", backend: simd, threads: 1 },
];
const seeds = (first: number, last: number) => Array.from({ length: last + 1 - first }, (_, i) => first + i);

Deno.test("wasm: random models on random batches are near the oracle, and equal whatever is in a batch with a row", async () => {
  for (const seed of seeds(9, 14)) assertEquals((await fuzzModel(seed, [], cpus, host)).failures, []);
});

Deno.test("wasm: random requests together get what each gets alone", async () => {
  for (const seed of seeds(29, 40)) assertEquals((await fuzzRequests(seed, [cpus[seed % cpus.length]], host)).failures, []);
});

gpuTest("gpu: random models on random batches are near the oracle, and draw what the host draws", async () => {
  const gpu = { name: "gpu", threads: 1, backend: await createGpuBackend() };
  assertEquals((await fuzzModel(13, [gpu], cpus.slice(2), host)).failures, []);
});
