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
/** The event loop gets its turn this often, so that progress shows and an abort arrives. */
const maxBusyMs = 20;

/**
 * Reads, checks, converts and writes every tensor of a program, then finishes the executable's weights.
 *
 * Peak memory beside the weights themselves: a chunk that is read while one is used, and one after conversion; with `doubleQuant` the largest matrix in 4 bits.
 *
 * @param plan From {@link planWeights}, for the same program and checkpoint.
 * @param codec Converts what the device does not have as it is, and looks for values that are not finite where the device does not.
 * @throws {RangeError} when a weight is NaN or infinite; the message names tensor, row and column.
 * @throws The signal's reason when it is aborted.
 */
export async function loadWeights(
  program: Program,
  checkpoint: Checkpoint,
  plan: ReadonlyMap<string, Format>,
  codec: Codec,
  executable: Executable,
  { onProgress, signal, doubleQuant = false }: LoadOptions = {},
): Promise<void> {
  const tensors = programTensors(program), chunks = chunksOf(tensors, checkpoint, plan);
  const totalBytes = tensors.reduce((sum, { name }) => sum + checkpoint.tensors.get(name)!.byteLength, 0);
  const read = async (index: number) =>
    index < chunks.length ? await checkpoint.readRows(chunks[index].tensor, chunks[index].firstRow, chunks[index].rows) : null;
  let loadedBytes = 0, busySince = performance.now(), reading = read(0), whole = new Uint8Array(0);
  try {
    for (const [index, { tensor, firstRow, rows, tensorRows, isVector, cols, from, to }] of chunks.entries()) {
      const isFound = executable.findsNonFinite && !isVector && from === to; // by the device
      const stored = (await reading)!;
      reading = read(index + 1);
      signal?.throwIfAborted();
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
    await reading.catch(() => {}); // nobody wants it any more, but it writes into its buffer and needs its file
  }
  signal?.throwIfAborted();
  await executable.finishWeights();
}

/** Rows that are read at once. */
interface Chunk {
  readonly tensor: string;
  readonly firstRow: number;
  readonly rows: number;
  readonly tensorRows: number;
  readonly isVector: boolean;
  readonly cols: number;
  readonly from: StorageType;
  readonly to: Format;
}

function chunksOf(tensors: readonly ProgramTensor[], checkpoint: Checkpoint, plan: ReadonlyMap<string, Format>): Chunk[] {
  return tensors.flatMap(({ name: tensor, isVector, rows, cols }) => {
    // The plan exists, so its tensors were seen to be there and to be weights.
    const from = checkpoint.tensors.get(tensor)!.storageType as StorageType, to = plan.get(tensor)!;
    const chunkRows = rowsPerChunk(Math.max(rowBytes(from, cols), rowBytes(to, cols)));
    return Array.from({ length: Math.ceil(rows / chunkRows) }, (_, i): Chunk => {
      return { tensor, firstRow: i * chunkRows, rows: Math.min(chunkRows, rows - i * chunkRows), tensorRows: rows, isVector, cols, from, to };
    });
  });
}

function rowsPerChunk(bytesPerRow: number): number {
  return Math.max(1, Math.floor(maxChunkBytes / bytesPerRow / rowAlignment)) * rowAlignment;
}
