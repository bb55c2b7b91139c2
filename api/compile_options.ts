/**
 * From load options to what a backend compiles with.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { Format } from "../engine/formats.ts";
import type { Program } from "../engine/program.ts";
import { cacheSize } from "./cache_size.ts";
import type { LoadOptions } from "./load_model.ts";

/** Most bytes of logits of one step; more wanted ones are computed in more steps. */
const maxLogitsBytes = 64 * 2 ** 20;

/**
 * Chooses every size that is not given.
 *
 * @param formats Format of each tensor.
 * @throws {RangeError} when the KV cache that is asked for does not hold the context that is asked for.
 */
export function chooseCompileOptions(config: SmolLM3Config, program: Program, formats: ReadonlyMap<string, Format>, options: LoadOptions): CompileOptions {
  const {
    blockSize = 16,
    maxNumSeqs = Math.min(16, options.maxNumBatchedTokens ?? 16),
    activations = "auto",
    cacheType = options.dtype === "float32" ? "f32" : "f16",
  } = options;
  const { cacheBytes, maxModelLen } = options;
  const maxRows = options.maxNumBatchedTokens ?? Math.max(512, maxNumSeqs);
  const isQuantized = [...formats.values()].some((format) => format.startsWith("q"));
  const size = cacheSize(program, contextOf(config), { blockSize, maxNumSeqs, cacheType, cacheBytes, maxModelLen });
  return {
    maxRows,
    maxOutputs: Math.max(maxNumSeqs, Math.min(maxRows, Math.floor(maxLogitsBytes / 4 / config.vocabSize))),
    maxSequences: maxNumSeqs,
    maxContext: size.maxModelLen,
    blockSize,
    blocks: size.blocks,
    cacheType,
    activations: activations === "auto" && isQuantized ? "int8" : activations,
    formats,
    // More than that wait for each other.
    threads: Math.min(options.threads ?? Infinity, navigator.hardwareConcurrency),
  };
}

/** Tokens that a model was made for. Dynamic RoPE goes on past the length of training. */
export function contextOf({ maxPositionEmbeddings, rope }: SmolLM3Config): number {
  return rope.ropeType === "dynamic" ? Math.floor(maxPositionEmbeddings * (rope.factor ?? 1)) : maxPositionEmbeddings;
}
