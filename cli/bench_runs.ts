/**
 * Prefill and decode as llama-bench measures them: the program alone, no scheduler; tokens are drawn only where the device does that by itself.
 *
 * @module
 */
import type { CompiledModel } from "../api/load_model.ts";
import type { RowSampling } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";

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

/** Draws the most likely token. */
const greedy: RowSampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0 };

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
    const run = (count: number) => kind === "prompt" ? this.#read(depth, count, signal) : this.#answer(depth, count, signal);
    await this.#read(0, depth, signal);
    // Warm-up; a GPU compiles kernels when a batch first needs them.
    await run(this.#model.backend.device === "webgpu" ? tokens : Math.min(tokens, kind === "prompt" ? this.#model.compileOptions.maxRows : 1));
    const rates: number[] = [];
    for (let i = 0; i < repetitions; i++) {
      const startMs = performance.now();
      await run(tokens);
      rates.push(tokens / (performance.now() - startMs) * 1000);
    }
    return rates;
  }

  /** Computes `count` random tokens at the positions from `start` on, and the logits of the last one. */
  async #read(start: number, count: number, signal: AbortSignal): Promise<void> {
    const { executable, compileOptions: { maxRows } } = this.#model;
    for (let position = start; position < start + count; position += maxRows) {
      signal.throwIfAborted();
      const rows = Math.min(maxRows, start + count - position);
      await executable.execute(this.batch(position, rows, position + rows === start + count ? 1 : 0));
    }
  }

  /** Computes `count` tokens one by one at the positions from `start` on: on the device, as long as it goes on by itself, or random ones and the logits of each. */
  async #answer(start: number, count: number, signal: AbortSignal): Promise<void> {
    const { executable } = this.#model, most = executable.maxDecodeSteps ?? 0;
    for (let position = start; position < start + count;) {
      signal.throwIfAborted();
      const steps = Math.max(1, Math.min(most, start + count - position));
      if (most === 0) await executable.execute(this.batch(position, 1));
      else await executable.decode!({ ...this.ahead(position, steps), sampling: [greedy], steps });
      position += steps;
    }
  }

  /** A batch of random tokens at the positions from `start` on, with blocks for `room` tokens after them. */
  batch(start: number, rows: number, outputs = 1, room = 0): Batch {
    const { compileOptions: { blocks, blockSize } } = this.#model, end = start + rows;
    const blockTables = Uint32Array.from({ length: Math.min(blocks, Math.ceil((end + room) / blockSize)) }, (_, i) => i);
    return {
      tokens: Uint32Array.from({ length: rows }, () => this.#randomToken()),
      rope: this.#rotations(start, rows),
      slots: Uint32Array.from({ length: rows }, (_, row) => start + row),
      queryStarts: Uint32Array.of(0, rows),
      contextLengths: Uint32Array.of(end),
      blockTables,
      blocksPerSequence: blockTables.length,
      outputRows: outputs > 0 ? Uint32Array.of(rows - 1) : new Uint32Array(0),
    };
  }

  /** A batch of one token, and what the steps after it need. */
  ahead(position: number, steps: number): { batch: Batch; rope: Float32Array } {
    return { batch: this.batch(position, 1, 1, steps - 1), rope: this.#rotations(position + 1, steps - 1) };
  }

  #rotations(first: number, count: number): Float32Array {
    const { rope, config: { headDim } } = this.#model, rotations = new Float32Array(count * headDim);
    for (let i = 0; i < count; i++) rope.fill(rotations, i, first + i, first + count);
    return rotations;
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
