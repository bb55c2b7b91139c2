/**
 * From generation options to what is done to logits, in the order of Transformers.
 *
 * @module
 */
import type { LogitsProcessor } from "../engine/completion.ts";
import type { ResolvedGeneration } from "../engine/generation_config.ts";
import type { SamplingOptions } from "../engine/sampling_params.ts";

/** What is done to the logits of a row. */
export interface RowProcessing {
  /** Applied in order; the last are those that only sampling wants and the sampler does not have. */
  readonly processors: readonly LogitsProcessor[];
  /** What the sampler does. */
  readonly sampling: SamplingOptions;
}

/**
 * @param promptTokenIds The row's prompt with its padding.
 * @param custom Processors of the caller.
 */
export function generationProcessors(config: ResolvedGeneration, _promptTokenIds: readonly number[], custom: readonly LogitsProcessor[]): RowProcessing {
  const { doSample, temperature, topK, topP, minP = 0 } = config;
  // The sampler takes no empty set of tokens; Transformers keeps the most likely one.
  const sampling = doSample ? { temperature, topK, topP: Math.max(topP, 1e-6), minP } : { temperature: 0 };
  return { processors: custom, sampling };
}
