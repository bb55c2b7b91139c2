/**
 * From a scheduled step to its sampled tokens.
 *
 * @module
 */
import type { Executable } from "./backend.ts";
import type { Completion } from "./completion.ts";
import type { SampledToken, Sampler, SamplerRow } from "./host.ts";
import type { RopeTable } from "./rope.ts";
import type { ScheduledStep } from "./scheduled_step.ts";

/** What of a {@link RopeTable} running needs. */
export type RopeRows = Pick<RopeTable, "headDim" | "fill" | "inverseFrequencies">;

/** Runs steps: makes a `Batch` of each, executes it, and draws tokens from the logits as each request asks. */
export class ModelRunner {
  readonly #executable: Executable;
  readonly #rope: RopeRows;
  readonly #sampler: Sampler;
  readonly #vocabSize: number;
  readonly #maxRows: number;
  readonly #rotations: Float32Array;

  /** @param maxRows Most tokens of a step. */
  constructor(executable: Executable, rope: RopeRows, sampler: Sampler, vocabSize: number, maxRows: number) {
    this.#executable = executable;
    this.#rope = rope;
    this.#sampler = sampler;
    this.#vocabSize = vocabSize;
    this.#maxRows = maxRows;
    this.#rotations = new Float32Array(maxRows * rope.headDim);
  }

  /**
   * Computes a step.
   *
   * @returns `[outputs]` the next token of each output row, or why there is none: a logits processor threw, or no logit is finite.
   * @throws What the executable throws; nothing can be run after that.
   */
  async run(step: ScheduledStep<Completion>): Promise<(SampledToken | Error)[]> {
    const logits = await this.#executable.execute({
      tokens: step.tokens,
      rope: this.#rotate(step),
      slots: step.slots,
      queryStarts: step.queryStarts,
      contextLengths: step.contextLengths,
      blockTables: step.blockTables,
      blocksPerSequence: step.blocksPerSequence,
      outputRows: step.outputRows,
    });
    return this.#sample(step, logits);
  }

  /** Most tokens that {@link ModelRunner.decode} can make of a step, 0 when the step must be run: several rows, or their logits are wanted. */
  maxDecodeSteps({ sequences, tokens, outputRows }: ScheduledStep<Completion>): number {
    const { maxDecodeSteps = 0, decode } = this.#executable;
    if (decode === undefined || tokens.length !== 1 || outputRows.length !== 1) return 0;
    const { params } = sequences[0];
    return params.temperature > 0 || params.logprobs !== undefined || touchesLogits(sequences[0]) ? 0 : Math.min(maxDecodeSteps, this.#maxRows);
  }

  /**
   * Computes a step of one row and goes on with its sequence.
   *
   * @param steps Tokens to make; all have their places in the cache.
   */
  async decode(step: ScheduledStep<Completion>, steps: number): Promise<Uint32Array> {
    const { sequences: [completion], positions: [position] } = step, { headDim } = this.#rope;
    for (let i = 0; i < steps; i++) this.#fill(i, position + i, completion);
    const rope = this.#rotations.subarray(0, steps * headDim);
    const { tokens } = await this.#executable.decode!({
      batch: {
        tokens: step.tokens,
        rope: rope.subarray(0, headDim),
        slots: step.slots,
        queryStarts: step.queryStarts,
        contextLengths: step.contextLengths,
        blockTables: Uint32Array.from(completion.blocks),
        blocksPerSequence: completion.blocks.length,
        outputRows: step.outputRows,
      },
      sampling: [{ temperature: 0, topK: 0, topP: 1, minP: 0, seed: completion.seed, position: completion.outputTokenIds.length }],
      steps,
      rope: rope.subarray(headDim),
    });
    return tokens;
  }

  #rotate({ sequences, positions, queryStarts }: ScheduledStep<Completion>): Float32Array {
    for (let i = 0; i < sequences.length; i++) {
      for (let row = queryStarts[i]; row < queryStarts[i + 1]; row++) this.#fill(row, positions[row], sequences[i]);
    }
    return this.#rotations.subarray(0, positions.length * this.#rope.headDim);
  }

  #fill(row: number, position: number, { promptLength }: Completion): void {
    // The length that a row sees must not depend on how the prompt was cut into steps, or whether it is computed for the second time.
    this.#rope.fill(this.#rotations, row, position, Math.max(promptLength, position + 1));
  }

  #sample({ sequences, outputSequences }: ScheduledStep<Completion>, logits: Float32Array): (SampledToken | Error)[] {
    const results: (SampledToken | Error)[] = [], rows: SamplerRow[] = [], raws: (Float32Array | null)[] = [];
    const rowOf = (output: number) => logits.subarray(output * this.#vocabSize, (output + 1) * this.#vocabSize);
    for (let i = 0; i < outputSequences.length; i++) {
      const completion = sequences[outputSequences[i]];
      const { temperature, topK, topP, minP, logprobs } = completion.params;
      try {
        raws.push(touchesLogits(completion) ? this.#process(completion, rowOf(i)) : null);
      } catch (error) {
        raws.push(null);
        results[i] = asError(error);
      }
      // Log probabilities are those of the unprocessed distribution: where that one is gone, they come from the copy.
      rows.push({ temperature, topK, topP, minP, seed: completion.seed, position: completion.outputTokenIds.length, logprobs: raws[i] ? undefined : logprobs });
    }
    let sampled: (SampledToken | Error)[];
    try {
      sampled = this.#sampler.sample(logits, rows);
    } catch {
      // One bad row must not end the others' requests: row by row it shows which it is.
      sampled = rows.map((row, i) => {
        try {
          return this.#sampler.sample(rowOf(i), [row])[0];
        } catch (error) {
          return asError(error);
        }
      });
    }
    return sampled.map((token, i) => results[i] ?? this.#addLogprobs(token, sequences[outputSequences[i]].params.logprobs, raws[i]));
  }

  /** Applies all that changes logits in place. Returns a copy of the unchanged ones when somebody wants them. */
  #process(completion: Completion, logits: Float32Array): Float32Array | null {
    const { params, tokens, outputTokenIds, logitsProcessors, onLogits, stopChecker } = completion;
    const raw = onLogits !== undefined || params.logprobs !== undefined ? logits.slice() : null;
    for (const process of logitsProcessors) process(tokens, logits);
    if (outputTokenIds.length < params.minTokens) { for (const id of stopChecker.stopTokenIds) logits[id] = -Infinity; }
    if (params.hasPenalties) {
      const { repetitionPenalty, frequencyPenalty, presencePenalty, logitBias } = params;
      const promptTokenIds = tokens.slice(0, completion.promptLength);
      this.#sampler.penalize(logits, { repetitionPenalty, frequencyPenalty, presencePenalty, promptTokenIds, outputTokenIds, logitBias });
    }
    if (onLogits !== undefined) onLogits(completion.index, raw!, logits.slice());
    return raw;
  }

  #addLogprobs(token: SampledToken | Error, logprobs: number | undefined, raw: Float32Array | null): SampledToken | Error {
    if (token instanceof Error || logprobs === undefined || raw === null) return token;
    // Greedy on the unprocessed row gives its best token's log probability; the others' differ from it as their logits do.
    const best = this.#sampler.sample(raw, [{ temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0, logprobs }])[0];
    return { tokenId: token.tokenId, logprob: best.logprob! + raw[token.tokenId] - raw[best.tokenId], topLogprobs: best.topLogprobs };
  }
}

/** Whether somebody wants to see or change the logits of the next token. */
function touchesLogits({ params, outputTokenIds, logitsProcessors, onLogits }: Completion): boolean {
  return logitsProcessors.length > 0 || onLogits !== undefined || params.hasPenalties || outputTokenIds.length < params.minTokens;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
