/**
 * The ways of running a model that its tests go through.
 *
 * @module
 */
import type { LoadOptions } from "../api/load_model.ts";
import { createWasmBackend } from "../wasm/backend.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";
import { oracleBackend } from "./oracle_backend.ts";

/** A way of running a model. */
export interface ModelBackend {
  readonly name: string;
  readonly options: () => Promise<LoadOptions>;
}

/** Plain loops: the reference. */
export const oracle: ModelBackend = { name: "oracle", options: () => Promise.resolve({ backend: oracleBackend }) };

/** The CPU backend with one thread and with two, and its build without threads. */
export const wasmBackends: readonly ModelBackend[] = [
  { name: "wasm, 1 thread", options: async () => ({ backend: await createWasmBackend({ build: "threads" }), threads: 1 }) },
  { name: "wasm, 2 threads", options: async () => ({ backend: await createWasmBackend({ build: "threads" }), threads: 2 }) },
  { name: "wasm without threads", options: async () => ({ backend: await createWasmBackend({ build: "simd" }) }) },
];

/** The GPU, where there is an adapter. */
export const gpuBackends: readonly ModelBackend[] = hasAdapter ? [{ name: "webgpu", options: () => Promise.resolve({ device: "webgpu" }) }] : [];
if (!hasAdapter) gpuTest("the same on webgpu", () => {});

/** Every one. */
export const backends: readonly ModelBackend[] = [oracle, ...wasmBackends, ...gpuBackends];
