/**
 * A checkpoint on the oracle: from the files to logits without any device.
 *
 * @module
 */
import type { Executable } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import { type Checkpoint, openCheckpoint } from "../engine/loader/checkpoint.ts";
import { loadWeights, readWeights } from "../engine/loader/load_weights.ts";
import { planWeights } from "../engine/loader/plan_weights.ts";
import { resolveSource } from "../engine/loader/source.ts";
import { RopeTable } from "../engine/rope.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { loadHost } from "../wasm/host.ts";
import { oracleBackend } from "./oracle_backend.ts";

const blockSize = 16;

/** Path of a fixture. */
export function fixturePath(name: string): string {
  return decodeURIComponent(new URL(`./fixtures/${name}`, import.meta.url).pathname);
}

/** A loaded model that computes one sequence at a time, from its start. */
export class OracleModel {
  readonly checkpoint: Checkpoint;
  readonly #executable: Executable;
  readonly #rope: RopeTable;
  readonly #maxRows: number;

  private constructor(checkpoint: Checkpoint, executable: Executable, maxRows: number, rope: RopeTable) {
    this.checkpoint = checkpoint;
    this.#executable = executable;
    this.#rope = rope;
    this.#maxRows = maxRows;
  }

  /** @param maxRows Most tokens of a sequence. */
  static async load(source: string, maxRows: number): Promise<OracleModel> {
    const checkpoint = await openCheckpoint(await resolveSource(source)), program = smolLM3(checkpoint.config);
    const formats = planWeights(program, checkpoint, oracleBackend.formats), blocks = Math.ceil(maxRows / blockSize);
    const executable = await oracleBackend.compile(program, {
      maxRows,
      maxOutputs: maxRows,
      maxSequences: 1,
      maxContext: maxRows,
      blockSize,
      blocks,
      cacheType: "f32",
      activations: "float32",
      formats,
      threads: 1,
    });
    await loadWeights(readWeights(program, checkpoint, formats), (await loadHost()).codec, executable);
    return new OracleModel(checkpoint, executable, maxRows, new RopeTable(checkpoint.config));
  }

  /** @returns Logits `[outputRows.length, vocabSize]`. */
  logits(tokens: readonly number[], outputRows: readonly number[], positions: readonly number[] = tokens.map((_, i) => i)): Promise<Float32Array> {
    const rows = tokens.length, rope = new Float32Array(rows * this.#rope.headDim), length = Math.max(...positions) + 1;
    positions.forEach((position, row) => this.#rope.fill(rope, row, position, length));
    const blocksPerSequence = Math.ceil(this.#maxRows / blockSize);
    const batch: Batch = {
      tokens: Uint32Array.from(tokens),
      rope,
      slots: Uint32Array.from(tokens, (_, i) => i),
      queryStarts: Uint32Array.of(0, rows),
      contextLengths: Uint32Array.of(rows),
      blockTables: Uint32Array.from({ length: blocksPerSequence }, (_, i) => i),
      blocksPerSequence,
      outputRows: Uint32Array.from(outputRows),
    };
    return this.#executable.execute(batch);
  }

  close(): void {
    this.#executable.close();
    this.checkpoint.close();
  }
}
