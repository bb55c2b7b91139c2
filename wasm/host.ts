/**
 * The host module: storage conversion, tokenization and sampling, compiled from `wasm/host` (Rust).
 *
 * @module
 */
import type { Host } from "../engine/host.ts";
import { WasmCodec } from "./codec.ts";
import { initSync } from "./generated/host_bindgen.gen.js";
import { WasmSampler } from "./sampler.ts";
import { WasmTokenizer } from "./tokenizer.ts";

let host: Promise<Host> | undefined;

/**
 * Instantiates the host module at the first call; one instance a process. Needs no permission: the binary lies in a module beside this one.
 *
 * @returns The host; the same object at each call.
 */
export function loadHost(): Promise<Host> {
  return host ??= instantiate();
}

async function instantiate(): Promise<Host> {
  // Loaded here rather than at the top: who imports this file without calling it pays nothing for the binary.
  const { hostBytes } = await import("./generated/host.gen.ts");
  // In the background: opening a GPU keeps this thread busy meanwhile.
  const wasm = initSync({ module: await WebAssembly.compile(hostBytes()) });
  return { codec: new WasmCodec(wasm), sampler: new WasmSampler(wasm), createTokenizer: (spec) => new WasmTokenizer(wasm, spec) };
}
