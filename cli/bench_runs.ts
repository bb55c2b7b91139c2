/**
 * Prefill and decode as llama-bench measures them: the program alone, no sampling, no scheduler.
 *
 * @module
 */
import type { CompiledModel } from "../api/load_model.ts";

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
  #state = 1;

  constructor(model: CompiledModel) {
    this.#model = model;
  }

  /**
   * @returns Tokens per second of each repetition.
   * @throws The signal's reason when it is aborted.
   */
  async measure({ kind, tokens, depth }: BenchTest, repetitions: number, signal: AbortSignal): Promise<number[]> {
    const step = kind === "prompt" ? this.#model.compileOptions.maxRows : 1;
    await this.run(0, depth, this.#model.compileOptions.maxRows, signal);
    await this.run(depth, Math.min(tokens, step), step, signal); // Warm-up.
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
   *
   * @throws The signal's reason when it is aborted.
   */
  async run(start: number, count: number, most: number, signal: AbortSignal): Promise<void> {
    const { executable, rope, config, compileOptions: { blocks, blockSize } } = this.#model;
    const end = start + count, blockTables = Uint32Array.from({ length: Math.min(blocks, Math.ceil(end / blockSize)) }, (_, i) => i);
    for (let position = start; position < end;) {
      signal.throwIfAborted();
      const rows = Math.min(most, end - position), rotations = new Float32Array(rows * config.headDim);
      for (let row = 0; row < rows; row++) rope.fill(rotations, row, position + row, end);
      const first = position;
      position += rows;
      await executable.execute({
        tokens: Uint32Array.from({ length: rows }, () => this.#randomToken()),
        rope: rotations,
        slots: Uint32Array.from({ length: rows }, (_, row) => first + row),
        queryStarts: Uint32Array.of(0, rows),
        contextLengths: Uint32Array.of(position),
        blockTables,
        blocksPerSequence: blockTables.length,
        outputRows: most === 1 || position === end ? Uint32Array.of(rows - 1) : new Uint32Array(0),
      });
    }
  }

  #randomToken(): number {
    this.#state = Math.imul(this.#state, 1664525) + 1013904223 >>> 0;
    return Math.floor(this.#state / 2 ** 32 * this.#model.config.vocabSize);
  }
}

/** Mean and standard deviation of a sample. */
export function statistics(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1);
  return { mean, deviation: Math.sqrt(variance) };
}
