/**
 * What a device must offer: compile a {@link Program} once, take its weights as they stream in, replay it on one {@link Batch} after another.
 *
 * @module
 */
import type { Batch } from "./batch.ts";
import type { Format } from "./formats.ts";
import type { Program } from "./program.ts";

/** Where a model runs. */
export type Device = "wasm" | "webgpu";
/** Number type of the KV cache. */
export type CacheType = "f32" | "f16" | "bf16";

/** Sizes and choices that are fixed when a program is compiled. */
export interface CompileOptions {
  /** Most rows (tokens) of one batch. */
  readonly maxRows: number;
  /** Most rows of one batch whose logits are wanted. */
  readonly maxOutputs: number;
  /** Most sequences in one batch. */
  readonly maxSequences: number;
  /** Most tokens of one sequence, prompt and answer together. */
  readonly maxContext: number;
  /** Tokens in a block of the KV cache. */
  readonly blockSize: number;
  /** Blocks in the KV cache. */
  readonly blocks: number;
  readonly cacheType: CacheType;
  /** `float32`: exact arithmetic on dequantized weights. `int8`: quantized weights meet int8 activations (per row and block of 32). */
  readonly activations: "float32" | "int8";
  /** Format of each checkpoint tensor that the program's weights name. */
  readonly formats: ReadonlyMap<string, Format>;
  /** Threads to use, at least 1; a backend without threads ignores it. */
  readonly threads: number;
}

/** A device that can run programs. */
export interface Backend {
  readonly device: Device;
  /** Formats it multiplies with as they are. The loader converts everything else to one of these. */
  readonly formats: ReadonlySet<Format>;
  /**
   * Bytes of device memory that {@link Backend.compile} will take, without taking them.
   */
  estimate(program: Program, options: CompileOptions): number;
  /**
   * Allocates everything and prepares every step.
   *
   * @throws {DeviceError} when the device cannot hold the program; the message has the numbers.
   */
  compile(program: Program, options: CompileOptions): Promise<Executable>;
}

/** Rows that are written together must start at a multiple of this (and be a multiple of it, but for a tensor's last rows). */
export const rowAlignment = 32;

/** The next tokens of one sequence, each the most likely one, made without a look at the logits in between. */
export interface DecodeRequest {
  /** Last token, not yet in the cache. */
  readonly token: number;
  /** Its place in the sequence. */
  readonly position: number;
  /** Blocks of the sequence, enough for `steps` more tokens. */
  readonly blockTable: Uint32Array;
  /** `[steps, headDim]` as {@link Batch.rope}, of the positions from `position` on. */
  readonly rope: Float32Array;
  /** Tokens to make, at most {@link Executable.maxDecodeSteps}. */
  readonly steps: number;
}

/** A compiled program with its weights and KV cache. One call at a time. */
export interface Executable {
  /**
   * Puts rows of a checkpoint tensor into their final place.
   *
   * @param tensor Name of a {@link WeightPart}.
   * @param firstRow First row, a multiple of {@link rowAlignment}. A vector is one row.
   * @param bytes Whole rows in the tensor's format, row-major, blocks as in a GGUF file. May be reused after the call.
   */
  writeRows(tensor: string, firstRow: number, bytes: Uint8Array): void;
  /** To be awaited after the last {@link Executable.writeRows} and before the first batch. */
  finishWeights(): Promise<void>;
  /**
   * Runs the whole program.
   *
   * @returns Logits `[outputs, vocabSize]`, valid until the next call.
   * @throws {DeviceError} when the device fails; the executable is unusable afterwards.
   */
  execute(batch: Batch): Promise<Float32Array>;
  /** Most tokens of one {@link Executable.decode}; 0 or left out: there is no faster way than {@link Executable.execute}. */
  readonly maxDecodeSteps?: number;
  /**
   * Makes several tokens at once, as as many batches of one row would, ties to the lowest id.
   *
   * @returns `[steps]` token ids. Keys and values of all but the last are in the cache.
   * @throws {DeviceError} as {@link Executable.execute}.
   */
  decode?(request: DecodeRequest): Promise<Uint32Array>;
  /** Copies `rows x cols` values of an activation buffer as the last step left them; for tests and for hidden states. */
  read(buffer: string, rows: number): Promise<Float32Array>;
  /** Frees memory and workers. A batch in flight rejects. Safe to call twice. */
  close(): void;
}

/** A device failed, is missing or is too small. Thrown by backends; callers may load the model again. */
export class DeviceError extends Error {
  /** The name of the class. */
  override readonly name = "DeviceError";
}
