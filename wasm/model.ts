/**
 * Chooses a build of the model crate and compiles it, once a process.
 *
 * @module
 */
import { type ModelExports, modelImports } from "./model_exports.ts";

/** `threads`: SIMD, relaxed SIMD and atomics on shared memory; `simd`: plain SIMD and one worker that owns its memory. */
export type BuildName = "threads" | "simd";

/** A compiled build. */
export interface Model {
  readonly build: BuildName;
  readonly module: WebAssembly.Module;
  /** Pages of every memory that belong to the module itself. */
  readonly reservedPages: number;
  /** An instance for questions about sizes; it does not see any model's memory. */
  readonly sizes: ModelExports;
}

/** `(module (func (result v128) i32.const 1 i8x16.splat i32.const 1 i8x16.splat i16x8.relaxed_dot_i8x16_i7x16_s))` */
const RELAXED_SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 1, 253, 15, 253, 146, 2, 11];
/** `(module (memory 1 1 shared) (func i32.const 0 i32.atomic.load drop))` */
const THREADS = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0, 26, 11];

/** The build that this engine can run best. */
export function supportedBuild(): BuildName {
  const valid = (bytes: number[]) => WebAssembly.validate(new Uint8Array(bytes));
  return valid(THREADS) && valid(RELAXED_SIMD) && typeof SharedArrayBuffer === "function" ? "threads" : "simd";
}

const models = new Map<BuildName, Promise<Model>>();

/** Compiles a build at the first call; the same object at each call. Needs no permission: the binary lies in a module beside this one. */
export function loadModel(build: BuildName): Promise<Model> {
  let model = models.get(build);
  if (model === undefined) models.set(build, model = compile(build));
  return model;
}

async function compile(build: BuildName): Promise<Model> {
  const { modelBytes, reservedPages } = build === "threads" ? await import("./generated/model_threads.gen.ts") : await import("./generated/model_simd.gen.ts");
  const module = await WebAssembly.compile(modelBytes());
  const memory = new WebAssembly.Memory({ initial: reservedPages, maximum: reservedPages, shared: build === "threads" });
  const { exports } = new WebAssembly.Instance(module, modelImports(module, memory));
  return { build, module, reservedPages, sizes: exports as unknown as ModelExports };
}
