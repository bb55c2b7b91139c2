/**
 * From a scheduled step to its sampled tokens.
 *
 * @module
 */
import { type Executable, noToken, type RowSampling } from "./backend.ts";
import type { Completion } from "./completion.ts";
import type { PenaltyRow, SampledToken, Sampler, SamplerRow } from "./host.ts";
import type { RopeTable } from "./rope.ts";
import type { ScheduledStep } from "./scheduled_step.ts";

/** What of a {@link RopeTable} running needs. */
export type RopeRows = Pick<RopeTable, "headDim" | "fill" | "inverseFrequencies">;

/** A token, or why there is none. */
export type Sampled = SampledToken | Error;

/**
 * Runs steps: makes a `Batch` of each, and lets its tokens be drawn as each request asks: by the device where it can and nobody else wants the logits,
 * by the host's sampler otherwise.
 */
export class ModelRunner {
  readonly #executable: Executable;
  readonly #rope: RopeRows;
  readonly #sampler: Sampler;
  readonly #vocabSize: number;
  #rotations = new Float32Array(0);

  constructor(executable: Executable, rope: RopeRows, sampler: Sampler, vocabSize: number) {
    this.#executable = executable;
    this.#rope = rope;
    this.#sampler = sampler;
    this.#vocabSize = vocabSize;
  }

  /** Tokens after a step's own that the device can make of each of its sequences: none when one has several rows, or its logits are wanted. */
  maxAhead({ sequences, tokens, outputRows }: ScheduledStep<Completion>): number {
    const { length } = sequences;
    if (!this.#draws || tokens.length !== length || outputRows.length !== length) return 0;
    if (!sequences.every((completion) => this.#isForDevice(completion))) return 0;
    // Whether the end is possible is the same for all tokens that are made of a sequence.
    const untilEnd = sequences.filter(mustNotStop).map(({ params, outputTokenIds }) => params.minTokens - outputTokenIds.length);
    return Math.min(this.#executable.maxDecodeSteps!, ...untilEnd) - 1;
  }

  /**
   * Computes a step, and the tokens ahead that it has places for.
   *
   * @param step Goes ahead no further than {@link ModelRunner.maxAhead}.
   * @returns `[1 + ahead, outputs]` the next tokens of each output row, or why there is none: a logits processor threw, or no logit is finite.
   *   What follows such a one means nothing.
   * @throws What the executable throws; nothing can be run after that.
   */
  async run(step: ScheduledStep<Completion>): Promise<Sampled[][]> {
    const { headDim } = this.#rope, rope = this.#rotate(step), split = step.tokens.length * headDim;
    const completions = Array.from(step.outputSequences, (i) => step.sequences[i]), outputs = completions.length;
    const batch = {
      tokens: step.tokens,
      rope: rope.subarray(0, split),
      slots: step.slots,
      queryStarts: step.queryStarts,
      contextLengths: step.contextLengths,
      blockTables: step.blockTables,
      blocksPerSequence: step.blocksPerSequence,
      outputRows: step.outputRows,
    };
    if (!this.#draws) return [await this.#sample(completions, await this.#executable.execute(batch))];
    const sampling = completions.map((completion) => this.#isForDevice(completion) ? this.#rowSampling(completion) : undefined), steps = 1 + step.ahead;
    const { tokens, logits } = await this.#executable.decode!({ batch, sampling, steps, rope: rope.subarray(split) });
    const sampled = (await this.#sample(completions.filter((_, i) => sampling[i] === undefined), logits)).values();
    return Array.from({ length: steps }, (_, at) => {
      return sampling.map((row, i) => row === undefined ? sampled.next().value! : drawn(tokens[at * outputs + i]));
    });
  }

  /** Whether the device draws tokens. */
  get #draws(): boolean {
    const { maxDecodeSteps = 0, decode } = this.#executable;
    return maxDecodeSteps > 0 && decode !== undefined;
  }

  /** Whether the device can draw the next token: nobody wants its logits, and each biased one is there. */
  #isForDevice(completion: Completion): boolean {
    const { params: { logprobs, logitBias }, logitsProcessors, onLogits } = completion;
    if (logprobs !== undefined || logitsProcessors.length > 0 || onLogits !== undefined) return false;
    return logitBias === undefined || [...logitBias.keys()].every((id) => id < this.#vocabSize);
  }

  /** Rotations of the step's rows, then of each output's rows ahead. */
  #rotate({ sequences, positions, queryStarts, outputRows, outputSequences, ahead }: ScheduledStep<Completion>): Float32Array {
    const length = (positions.length + ahead * outputRows.length) * this.#rope.headDim;
    if (this.#rotations.length < length) this.#rotations = new Float32Array(length);
    for (let i = 0; i < sequences.length; i++) {
      for (let row = queryStarts[i]; row < queryStarts[i + 1]; row++) this.#fill(row, positions[row], sequences[i]);
    }
    for (let at = 1, row = positions.length; at <= ahead; at++) {
      for (let i = 0; i < outputRows.length; i++, row++) this.#fill(row, positions[outputRows[i]] + at, sequences[outputSequences[i]]);
    }
    return this.#rotations.subarray(0, length);
  }

  #fill(row: number, position: number, { promptLength }: Completion): void {
    // The length that a row sees must not depend on how the prompt was cut into steps, or whether it is computed for the second time.
    this.#rope.fill(this.#rotations, row, position, Math.max(promptLength, position + 1));
  }

  /**
   * Row by row: a row is still in the caches when it is drawn from, and a bad one does not end the others' requests.
   *
   * @param logits `[completions, vocabSize]`; changed.
   */
  async #sample(completions: readonly Completion[], logits: Float32Array): Promise<Sampled[]> {
    const results: Sampled[] = [], wide: number[] = [];
    const rowOf = (i: number) => logits.subarray(i * this.#vocabSize, (i + 1) * this.#vocabSize);
    completions.forEach((completion, i) => {
      try {
        const raw = this.#process(completion, rowOf(i));
        if (this.#isWide(completion)) wide.push(i);
        else results[i] = this.#sampleRow(completion, rowOf(i), raw);
      } catch (error) {
        results[i] = asError(error);
      }
    });
    if (wide.length > 0) {
      const tokens = await this.#executable.draw!(wide.map(rowOf), wide.map((i) => samplerRow(completions[i])));
      wide.forEach((i, at) => results[i] = drawn(tokens[at]));
    }
    return results;
  }

  /** Whether any token may be drawn: all must be weighed, and bringing them to a device that does it is faster than doing it here. */
  #isWide({ params: { temperature, topK, minP, logprobs } }: Completion): boolean {
    return this.#executable.draw !== undefined && temperature > 0 && topK === 0 && minP === 0 && logprobs === undefined;
  }

  /** @param raw The logits before they were changed, where somebody wants them. */
  #sampleRow(completion: Completion, logits: Float32Array, raw: Float32Array | null): SampledToken {
    const { logprobs } = completion.params;
    // Log probabilities are those of the unprocessed distribution: where that one is gone, they come from the copy.
    const [token] = this.#sampler.sample(logits, [{ ...samplerRow(completion), logprobs: raw ? undefined : logprobs }]);
    if (raw === null || logprobs === undefined) return token;
    // Greedy on the unprocessed row gives its best token's log probability; the others' differ from it as their logits do.
    const [best] = this.#sampler.sample(raw, [{ temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0, logprobs }]);
    return { tokenId: token.tokenId, logprob: best.logprob! + raw[token.tokenId] - raw[best.tokenId], topLogprobs: best.topLogprobs };
  }

  /** Applies all that changes logits in place. Returns a copy of the unchanged ones when somebody wants them. */
  #process(completion: Completion, logits: Float32Array): Float32Array | null {
    const { params, tokens, logitsProcessors, onLogits } = completion, penalties = this.#penalties(completion);
    const changes = logitsProcessors.length > 0 || penalties !== undefined;
    const raw = onLogits !== undefined || changes && params.logprobs !== undefined ? logits.slice() : null;
    for (const process of logitsProcessors) process(tokens, logits);
    if (penalties) this.#sampler.penalize(logits, penalties);
    if (onLogits !== undefined) onLogits(completion.index, raw!, logits.slice());
    return raw;
  }

  #rowSampling(completion: Completion): RowSampling {
    return { ...samplerRow(completion), penalties: this.#penalties(completion) };
  }

  /** What changes the logits of a row; undefined: nothing. */
  #penalties(completion: Completion): PenaltyRow | undefined {
    const { params, promptTokenIds, outputTokenIds, stopChecker: { stopTokenIds } } = completion,
      { repetitionPenalty, frequencyPenalty, presencePenalty } = params;
    const hidden = mustNotStop(completion) ? [...stopTokenIds].filter((id) => id < this.#vocabSize).map((id): [number, number] => [id, -Infinity]) : [];
    if (!params.hasPenalties && hidden.length === 0) return undefined;
    const logitBias = hidden.length > 0 ? new Map([...params.logitBias ?? [], ...hidden]) : params.logitBias;
    return { repetitionPenalty, frequencyPenalty, presencePenalty, promptTokenIds, outputTokenIds, logitBias };
  }
}

/** Whether tokens that end the answer are impossible as its next. */
function mustNotStop({ params, outputTokenIds, stopChecker }: Completion): boolean {
  return outputTokenIds.length < params.minTokens && stopChecker.stopTokenIds.size > 0;
}

function samplerRow({ params: { temperature, topK, topP, minP }, seed, outputTokenIds }: Completion): SamplerRow {
  return { temperature, topK, topP, minP, seed, position: outputTokenIds.length };
}

/** What the device says. It is as strict as the host's sampler. */
function drawn(token: number): Sampled {
  return token === noToken ? new RangeError("Cannot sample a row: its logits have NaN, or all are -Infinity") : { tokenId: token };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
