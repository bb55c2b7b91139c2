/**
 * Random models (`models`: batches against the oracle, draws against the host) or random requests to engines (`requests`) on a GPU and on the CPU:
 * `deno run -A _tools/fuzz_gpu.ts models|requests [COUNT] [SEED] [SECONDS] [WAYS]`, the last a regular expression of the GPU's names below. Ends with status 1 where something is wrong.
 *
 * @module
 */
import { createGpuBackend } from "../gpu/backend.ts";
import type { GpuOptions } from "../gpu/device.ts";
import { fuzzModel } from "../tests/model_fuzz.ts";
import { fuzzRequests } from "../tests/request_fuzz.ts";
import { createWasmBackend } from "../wasm/backend.ts";
import { loadHost } from "../wasm/host.ts";

const [kind = "models", count = 1_000_000, seed = 1, seconds = Infinity, only = "."] = Deno.args.map((arg) => isNaN(Number(arg)) ? arg : Number(arg)) as [
  string,
  number,
  number,
  number,
  string,
];
const small = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256, maxComputeWorkgroupStorageSize: 16_384 };
const ways: Record<string, GpuOptions> = {
  "gpu": {},
  "gpu without features": { without: ["subgroups", "wgpu-memory-decoration-coherent", "shader-f16", "timestamp-query"] },
  "gpu of small workgroups": { limits: small },
  "gpu of small bindings": { bindingBytes: 1 << 20 },
};
const gpus = [];
for (const [name, options] of Object.entries(ways)) {
  if (new RegExp(only).test(name)) gpus.push({ name, threads: 1, backend: await createGpuBackend(options) });
}
const [threads, simd] = [await createWasmBackend({ build: "threads" }), await createWasmBackend({ build: "simd" })];
const cpus = [
  { name: "threads 1", backend: threads, threads: 1 },
  { name: "threads 2", backend: threads, threads: 2 },
  { name: "simd", backend: simd, threads: 1 },
];
const host = await loadHost(), end = Date.now() + seconds * 1000;
let failed = 0;
for (let at = seed; at < seed + count && Date.now() < end; at++) {
  const start = performance.now(), some = gpus.length > 0 ? [gpus[at % gpus.length]] : [];
  const { what, failures } = await (kind === "models" ? fuzzModel(at, some, cpus, host) : fuzzRequests(at, [...some, cpus[at % cpus.length]], host));
  console.log(`${at}: ${failures.length > 0 ? "WRONG" : "ok"}, ${Math.round(performance.now() - start)} ms: ${what}`);
  for (const failure of failures) console.log(failure);
  failed += failures.length;
}
Deno.exit(failed > 0 ? 1 : 0);
