/**
 * Streams the weights of a checkpoint into a compiled program, a few megabytes at a time.
 *
 * @module
 */
import { type Executable, rowAlignment } from "../backend.ts";
import { type Format, isFourBit, rowBytes, type StorageType } from "../formats.ts";
import type { Codec } from "../host.ts";
import type { Program } from "../program.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { quantizeAbsmax } from "./double_quantization.ts";
import { nextTask } from "../next_task.ts";
import { type ProgramTensor, programTensors } from "./plan_weights.ts";
import { ReadAhead, type Rows } from "./read_ahead.ts";

/** How far loading is. */
export interface LoadProgress {
  /** Bytes of the files that are done. */
  readonly loadedBytes: number;
  /** Bytes of all tensors that the model uses. */
  readonly totalBytes: number;
  /** The tensor that was read last. */
  readonly tensor: string;
}

/** Options of {@link loadWeights}. */
export interface LoadOptions {
  /** Called after every few megabytes. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Ends loading. */
  readonly signal?: AbortSignal;
  /** Whether absmax of what is quantized to a type of bitsandbytes is quantized as well. */
  readonly doubleQuant?: boolean;
}

/** Most bytes of rows that are read, checked or converted at a time. */
const maxChunkBytes = 16 * 2 ** 20;
/** Memory for what is read ahead while something else is used: so little that much of it is still in the caches when its turn comes. */
const aheadBytes = 32 * 2 ** 20;
/** The event loop gets its turn this often, so that progress shows and an abort arrives. */
const maxBusyMs = 20;

/**
 * The rows of every tensor that a program names, in the order of its weights. As many as there is memory for are read from now on.
 *
 * @param plan From {@link planWeights}, for the same program and checkpoint.
 */
export function readWeights(program: Program, checkpoint: Checkpoint, plan: ReadonlyMap<string, Format>): ReadAhead<WeightRows> {
  const all = programTensors(program).flatMap((tensor) => rowsOf(tensor, checkpoint, plan)), sizes = all.map(({ storedBytes }) => storedBytes);
  const bytes = sizes.reduce((sum, size) => sum + size, 0), most = sizes.reduce((most, size) => Math.max(most, size), 0);
  return new ReadAhead(checkpoint, all, Math.min(bytes, Math.max(aheadBytes, 2 * most)));
}

/**
 * Checks, converts and writes what {@link readWeights} reads, then finishes the executable's weights.
 *
 * Peak memory beside the weights themselves: what is read ahead, and rows after conversion; with `doubleQuant` the largest matrix in 4 bits.
 *
 * @param codec Converts what the device does not have as it is, and looks for values that are not finite where the device does not.
 * @throws {RangeError} when a weight is NaN or infinite; the message names tensor, row and column.
 * @throws The signal's reason when it is aborted.
 */
export async function loadWeights(
  weights: ReadAhead<WeightRows>,
  codec: Codec,
  executable: Executable,
  { onProgress, signal, doubleQuant = false }: LoadOptions = {},
): Promise<void> {
  const totalBytes = weights.all.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  let loadedBytes = 0, busySince = performance.now(), whole = new Uint8Array(0);
  try {
    for await (const [{ tensor, firstRow, rows, tensorRows, isVector, cols, from, to }, stored] of weights) {
      signal?.throwIfAborted();
      const isFound = executable.findsNonFinite && !isVector && from === to; // by the device
      const wrong = isFound ? -1 : codec.findNonFinite(stored, from, cols);
      if (wrong >= 0) {
        throw new RangeError(`Cannot load ${tensor}: the value in row ${firstRow + Math.floor(wrong / cols)}, column ${wrong % cols} is not finite`);
      }
      const converted = from === to ? stored : codec.convert(stored, from, to, cols);
      if (!doubleQuant || !isFourBit(to) || isFourBit(from)) executable.writeRows(tensor, firstRow, converted);
      else {
        // What becomes of absmax depends on all of a tensor's.
        if (firstRow === 0) whole = new Uint8Array(tensorRows * rowBytes(to, cols));
        whole.set(converted, firstRow * rowBytes(to, cols));
        if (firstRow + rows === tensorRows) executable.writeRows(tensor, 0, quantizeAbsmax(whole));
      }
      loadedBytes += stored.length;
      onProgress?.({ loadedBytes, totalBytes, tensor });
      if (performance.now() - busySince < maxBusyMs) continue;
      await nextTask();
      busySince = performance.now();
    }
  } finally {
    await weights.settle();
  }
  signal?.throwIfAborted();
  await executable.finishWeights();
}

/** Rows of a tensor, and what becomes of them. */
export interface WeightRows extends Rows {
  readonly tensorRows: number;
  readonly isVector: boolean;
  readonly cols: number;
  readonly from: StorageType;
  readonly to: Format;
}

function rowsOf({ name: tensor, isVector, rows: tensorRows, cols }: ProgramTensor, checkpoint: Checkpoint, plan: ReadonlyMap<string, Format>): WeightRows[] {
  // The plan exists, so its tensors were seen to be there and to be weights.
  const from = checkpoint.tensors.get(tensor)!.storageType as StorageType, to = plan.get(tensor)!, storedRow = rowBytes(from, cols);
  const most = mostRows(Math.max(storedRow, rowBytes(to, cols)));
  return Array.from({ length: Math.ceil(tensorRows / most) }, (_, i): WeightRows => {
    const firstRow = i * most, rows = Math.min(most, tensorRows - firstRow);
    return { tensor, firstRow, rows, storedBytes: rows * storedRow, tensorRows, isVector, cols, from, to };
  });
}

function mostRows(bytesPerRow: number): number {
  return Math.max(1, Math.floor(maxChunkBytes / bytesPerRow / rowAlignment)) * rowAlignment;
}
