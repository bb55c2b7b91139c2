/**
 * Prefill and decode as llama-bench measures them: the program alone, no scheduler.
 *
 * @module
 */
import type { CompiledModel } from "../api/load_model.ts";
import type { RowSampling } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import { DecodeBudget } from "../engine/decode_budget.ts";

/** What is measured: a prompt, or an answer token by token, after a context of some depth. */
export interface BenchTest {
  readonly kind: "prompt" | "generate";
  readonly tokens: number;
  readonly depth: number;
}

/** llama-bench's name of a test: `pp512`, `tg128 @ d4096`. */
export function testName({ kind, tokens, depth }: BenchTest): string {
  return `${kind === "prompt" ? "pp" : "tg"}${tokens}${depth > 0 ? ` @ d${depth}` : ""}`;
}

/** Runs tests on a model, one sequence from the first block of the KV cache on. */
export class BenchRunner {
  readonly #model: CompiledModel;
  readonly #budget = new DecodeBudget();
  #state = 1;

  constructor(model: CompiledModel) {
    this.#model = model;
  }

  /**
   * @returns Tokens per second of each repetition.
   * @throws The signal's reason when it is aborted.
   */
  async measure({ kind, tokens, depth }: BenchTest, repetitions: number, signal: AbortSignal): Promise<number[]> {
    const { compileOptions: { maxRows }, executable: { maxDecodeSteps = 0 } } = this.#model, step = kind === "prompt" ? maxRows : 1;
    await this.run(0, depth, maxRows, signal);
    await this.run(depth, Math.min(tokens, step === 1 ? Math.max(1, maxDecodeSteps) : step), step, signal); // Warm-up.
    const rates: number[] = [];
    for (let i = 0; i < repetitions; i++) {
      const startMs = performance.now();
      await this.run(depth, tokens, step, signal);
      rates.push(tokens / (performance.now() - startMs) * 1000);
    }
    return rates;
  }

  /**
   * Computes `count` random tokens at the positions from `start` on, at most `most` in a step, and the logits of the last one (of each, one by one).
   * A device that draws tokens goes on from one by one with those that it draws, as far as the engine lets it at once.
   *
   * @throws The signal's reason when it is aborted.
   */
  async run(start: number, count: number, most: number, signal: AbortSignal): Promise<void> {
    const { executable } = this.#model, { maxDecodeSteps = 0 } = executable, end = start + count;
    for (let position = start; position < end;) {
      signal.throwIfAborted();
      const rows = Math.min(most, end - position), batch = this.#batch(position, rows, end, most === 1);
      if (most > 1 || maxDecodeSteps === 0) {
        await executable.execute(batch);
        position += rows;
      } else {
        const steps = Math.min(maxDecodeSteps, this.#budget.steps(1), end - position), startMs = performance.now();
        await executable.decode!({ batch, sampling: [greedy], steps, rope: this.#rotations(position + 1, steps - 1, end) });
        this.#budget.add(performance.now() - startMs, steps, 1);
        position += steps;
      }
    }
  }

  /** Rows of a sequence that will have `end` tokens, each in the slot of its position. */
  #batch(first: number, rows: number, end: number, isAnswer: boolean): Batch {
    const { blocks, blockSize } = this.#model.compileOptions;
    const blockTables = Uint32Array.from({ length: Math.min(blocks, Math.ceil(end / blockSize)) }, (_, i) => i);
    return {
      tokens: Uint32Array.from({ length: rows }, () => this.#randomToken()),
      rope: this.#rotations(first, rows, end),
      slots: Uint32Array.from({ length: rows }, (_, row) => first + row),
      queryStarts: Uint32Array.of(0, rows),
      contextLengths: Uint32Array.of(first + rows),
      blockTables,
      blocksPerSequence: blockTables.length,
      outputRows: isAnswer || first + rows === end ? Uint32Array.of(rows - 1) : new Uint32Array(0),
    };
  }

  #rotations(first: number, rows: number, end: number): Float32Array {
    const { rope, config: { headDim } } = this.#model, rotations = new Float32Array(rows * headDim);
    for (let row = 0; row < rows; row++) rope.fill(rotations, row, first + row, end);
    return rotations;
  }

  #randomToken(): number {
    this.#state = Math.imul(this.#state, 1664525) + 1013904223 >>> 0;
    return Math.floor(this.#state / 2 ** 32 * this.#model.config.vocabSize);
  }
}

const greedy: RowSampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0 };

/** Mean and standard deviation of a sample. */
export function statistics(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1);
  return { mean, deviation: Math.sqrt(variance) };
}
