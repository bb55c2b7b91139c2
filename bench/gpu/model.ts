/**
 * The full SmolLM3-3B shape with random weights, and batches for it: what the benchmarks of the GPU run on.
 *
 * @module
 */
import type { CompileOptions } from "../../engine/backend.ts";
import type { Batch } from "../../engine/batch.ts";
import type { SmolLM3Config } from "../../engine/config.ts";
import { type Format, isFourBit, rowBytes, storageTypes } from "../../engine/formats.ts";
import type { Program, Weight } from "../../engine/program.ts";
import { RopeTable } from "../../engine/rope.ts";
import type { Gpu } from "../../gpu/device.ts";
import { GpuExecutable } from "../../gpu/executable.ts";
import { random, randomConfig, randomWeight } from "../../tests/random_model.ts";

/** SmolLM3-3B; fewer layers or words make a smaller model of the same kernels. */
export function fullShape(layers = 36, vocabSize = 128256): SmolLM3Config {
  return randomConfig({
    vocabSize,
    hiddenSize: 2048,
    intermediateSize: 11008,
    numHiddenLayers: layers,
    numAttentionHeads: 16,
    numKeyValueHeads: 4,
    headDim: 128,
    maxPositionEmbeddings: 65536,
    rope: { ropeType: "default", ropeTheta: 5e6 },
    noRopeLayers: Array.from({ length: layers }, (_, i) => (i + 1) % 4 === 0 ? 0 : 1),
    slidingWindows: Array.from({ length: layers }, () => 0),
  });
}

/** Of a matrix of a model in `format`: bitsandbytes leaves the embedding table as it is. */
export function formatOf({ name }: Weight, format: Format): Format {
  if (name !== "embed" || !isFourBit(format)) return format;
  return format.endsWith("_bf16") ? "bf16" : format.endsWith("_f16") ? "f16" : "f32";
}

/** Matrices in `format`, vectors in f32. */
export function formatsOf(program: Program, format: Format): Map<string, Format> {
  return new Map(
    program.weights.flatMap((weight) => weight.parts.map(({ tensor }): [string, Format] => [tensor, weight.rows === 1 ? "f32" : formatOf(weight, format)])),
  );
}

/**
 * Writes random weights: one random stretch of rows, used again and again at other offsets.
 *
 * @param sizeOf About the largest value of a matrix; at least 0.5 in K formats, whose scales would be too small for f16.
 * @returns Bytes of the matrices.
 */
export function writeRandom(
  program: Program,
  writeRows: (tensor: string, firstRow: number, bytes: Uint8Array) => void,
  format: Format,
  sizeOf: (weight: Weight) => number = ({ cols }) => 3 / Math.sqrt(cols),
): number {
  const next = random(5), pools = new Map<string, Uint8Array>();
  let bytes = 0;
  for (const weight of program.weights) {
    if (weight.rows === 1) {
      for (const part of weight.parts) {
        writeRows(part.tensor, 0, new Uint8Array(Float32Array.from({ length: part.rows }, () => 0.8 + 0.4 * next()).buffer));
      }
      continue;
    }
    const { cols } = weight, kind = formatOf(weight, format), stride = rowBytes(kind, cols);
    const size = kind.endsWith("_k") ? Math.max(0.5, sizeOf(weight)) : sizeOf(weight), key = `${kind} ${cols} ${size}`;
    const pool = pools.get(key) ?? balanced(kind, randomWeight(kind, 300, cols, next, size).bytes);
    pools.set(key, pool);
    for (const part of weight.parts) {
      for (let row = 0; row < part.rows; row += 256) {
        const count = Math.min(256, part.rows - row), first = Math.floor(next() * (300 - count + 1));
        writeRows(part.tensor, row, pool.subarray(first * stride, (first + count) * stride));
        bytes += count * stride;
      }
    }
  }
  return bytes;
}

/** The program on a GPU with random weights: KV cache in f16, int8 activations, one sequence may take all blocks. */
export async function compileRandom(
  gpu: Gpu,
  program: Program,
  format: Format,
  sizes: Pick<CompileOptions, "maxRows" | "maxOutputs" | "maxSequences" | "blockSize" | "blocks">,
): Promise<{ executable: GpuExecutable; bytes: number; compileMs: number; loadMs: number }> {
  const startMs = performance.now();
  const executable = await GpuExecutable.compile(gpu, program, {
    ...sizes,
    ...{ maxContext: sizes.blocks * sizes.blockSize, cacheType: "f16", activations: "int8", formats: formatsOf(program, format), threads: 1 },
  });
  const compiledMs = performance.now(), bytes = writeRandom(program, executable.writeRows.bind(executable), format);
  await executable.finishWeights();
  return { executable, bytes, compileMs: compiledMs - startMs, loadMs: performance.now() - compiledMs };
}

/** Four bits go from -8 to 7: with every other block's scale below 0 the mean is 0, and no token wins over all others. The scale comes first. */
function balanced(format: Format, bytes: Uint8Array): Uint8Array {
  const [, blockBytes] = storageTypes[format];
  if (format === "q4_0" || format === "q8_0") { for (let at = 1; at < bytes.length; at += 2 * blockBytes) bytes[at] ^= 0x80; }
  return bytes;
}

/** Makes batches for a model. */
export class Batches {
  readonly #config: SmolLM3Config;
  readonly #rope: RopeTable;
  readonly #blockSize: number;

  constructor(config: SmolLM3Config, blockSize: number) {
    [this.#config, this.#rope, this.#blockSize] = [config, new RopeTable(config), blockSize];
  }

  /** `[count, headDim]` rotations of the positions from `first` on. */
  rotations(first: number, count: number): Float32Array {
    const rows = new Float32Array(count * this.#config.headDim);
    for (let i = 0; i < count; i++) this.#rope.fill(rows, i, first + i, first + count);
    return rows;
  }

  /** One sequence that goes on after `past` tokens; the logits of its last row. */
  next(ids: readonly number[], past: number, blockTable: Uint32Array): Batch {
    return {
      tokens: Uint32Array.from(ids),
      rope: this.rotations(past, ids.length),
      slots: Uint32Array.from(ids, (_, i) => blockTable[Math.floor((past + i) / this.#blockSize)] * this.#blockSize + (past + i) % this.#blockSize),
      queryStarts: Uint32Array.of(0, ids.length),
      contextLengths: Uint32Array.of(past + ids.length),
      blockTables: blockTable,
      blocksPerSequence: blockTable.length,
      outputRows: Uint32Array.of(ids.length - 1),
    };
  }

  /** `count` sequences of `context` tokens each, one token more for each, the logits of the first `outputs`. */
  decode(count: number, context: number, outputs = count): Batch {
    const each = Math.ceil((context + 1) / this.#blockSize), { headDim, vocabSize } = this.#config;
    const row = this.rotations(context, 1), rope = new Float32Array(count * headDim);
    for (let i = 0; i < count; i++) rope.set(row, i * headDim);
    return {
      tokens: Uint32Array.from({ length: count }, (_, i) => i * 7919 % vocabSize),
      rope,
      slots: Uint32Array.from({ length: count }, (_, i) => i * each * this.#blockSize + context),
      queryStarts: Uint32Array.from({ length: count + 1 }, (_, i) => i),
      contextLengths: new Uint32Array(count).fill(context + 1),
      blockTables: Uint32Array.from({ length: count * each }, (_, i) => i),
      blocksPerSequence: each,
      outputRows: Uint32Array.from({ length: outputs }, (_, i) => i),
    };
  }
}
