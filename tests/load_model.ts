/**
 * A checkpoint on the oracle: from the files to logits without any device.
 *
 * @module
 */
import type { Executable } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import { type Checkpoint, openCheckpoint } from "../engine/loader/checkpoint.ts";
import { loadWeights } from "../engine/loader/load_weights.ts";
import { planWeights } from "../engine/loader/plan_weights.ts";
import { resolveSource } from "../engine/loader/source.ts";
import { inverseFrequencies, RopeTable } from "../engine/rope.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { loadHost } from "../wasm/host.ts";
import { oracleBackend } from "./oracle_backend.ts";

const blockSize = 16;

/** Path of a fixture. */
export function fixturePath(name: string): string {
  return decodeURIComponent(new URL(`./fixtures/${name}`, import.meta.url).pathname);
}

/**
 * RoPE as the goldens of `tiny_models` have it: `model.to(dtype)` in the script that made them also rounded the frequencies to the number
 * type of the checkpoint (loading a checkpoint in Transformers does not). Frequencies that are computed anew for a length were not rounded.
 */
export function roundedFrequencies(config: SmolLM3Config, length: number): SmolLM3Config {
  const { ropeType, originalMaxPositionEmbeddings = 0 } = config.rope;
  const isAnew = ropeType === "dynamic" && length > config.maxPositionEmbeddings || ropeType === "longrope" && length > originalMaxPositionEmbeddings;
  if (config.dtype === "float32" || isAnew) return config;
  const round = config.dtype === "float16" ? Math.f16round : roundToBfloat16;
  const freqFactors = Array.from(inverseFrequencies(config, length), (inverse) => inverse / round(inverse));
  return { ...config, rope: { ...config.rope, freqFactors } };
}

function roundToBfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = (bits[0] + 0x7fff + (bits[0] >> 16 & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0];
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

  /**
   * @param maxRows Most tokens of a sequence.
   * @param ropeOf Changes the configuration that RoPE sees.
   */
  static async load(source: string, maxRows: number, ropeOf = (config: SmolLM3Config) => config): Promise<OracleModel> {
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
    await loadWeights(program, checkpoint, formats, (await loadHost()).codec, executable);
    return new OracleModel(checkpoint, executable, maxRows, new RopeTable(ropeOf(checkpoint.config)));
  }

  /** @returns Logits `[outputRows.length, vocabSize]`. */
  logits(tokens: readonly number[], outputRows: readonly number[], positions: readonly number[] = tokens.map((_, i) => i)): Promise<Float32Array> {
    const rows = tokens.length, rope = new Float32Array(rows * this.#rope.headDim);
    positions.forEach((position, row) => this.#rope.fill(rope, row, position, rows));
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
