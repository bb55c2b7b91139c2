/**
 * What a device must offer: compile a {@link Program} once, take its weights as they stream in, replay it on one {@link Batch} after another.
 *
 * @module
 */
import type { Batch } from "./batch.ts";
import type { Format } from "./formats.ts";
import type { PenaltyRow, SamplerRow } from "./host.ts";
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
  /**
   * `float32`: exact arithmetic on dequantized weights. `int8`: quantized weights meet int8 activations (per row and block of 32). `auto`: no weight need
   * meet int8, but a device may round activations to 16 bits where weights have no more.
   */
  readonly activations: "auto" | "float32" | "int8";
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

/** How a device turns one row of logits into a token: exactly as `Sampler.penalize` and `Sampler.sample` of host.ts do, with the same draws. */
export interface RowSampling extends Omit<SamplerRow, "logprobs"> {
  /** Changes of the logits before anything else; undefined: none. */
  readonly penalties?: PenaltyRow;
}

/** One batch, and the next tokens of its sequences, drawn on the device. */
export interface DecodeRequest {
  /** The first step. */
  readonly batch: Batch;
  /** `[outputs]` how each output's token is drawn; undefined: its logits are wanted in place of a token. */
  readonly sampling: readonly (RowSampling | undefined)[];
  /**
   * Tokens to make of each output, 1 to {@link Executable.maxDecodeSteps}. More than one only where every sequence has one row, which is an output with a
   * sampling. Block tables hold room for all of them; step `i` draws with `position + i`, and its penalties see the tokens before it.
   */
  readonly steps: number;
  /** `[steps - 1, outputs, headDim]` as {@link Batch.rope}: rotations of the steps after the first. */
  readonly rope: Float32Array;
}

/** In place of a token: the row has NaN or nothing above -Infinity, or its logits were wanted. What later steps make of such a row means nothing. */
export const noToken = 0xffff_ffff;

/** What {@link Executable.decode} made. */
export interface DecodeResult {
  /** `[steps, outputs]` token ids, or {@link noToken}. Keys and values of all but the last are in the cache. */
  readonly tokens: Uint32Array;
  /** `[outputs without sampling, vocabSize]` their logits, in order; valid until the next call. */
  readonly logits: Float32Array;
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
  /** Whether {@link Executable.finishWeights} looks for values of matrices that are not finite; otherwise whoever writes them does. */
  readonly findsNonFinite?: boolean;
  /**
   * To be awaited after the last {@link Executable.writeRows} and before the first batch.
   *
   * @throws {RangeError} naming the place of a value that is not finite, where {@link Executable.findsNonFinite}.
   */
  finishWeights(): Promise<void>;
  /**
   * Runs the whole program.
   *
   * @returns Logits `[outputs, vocabSize]`, valid until the next call.
   * @throws {DeviceError} when the device fails; the executable is unusable afterwards.
   */
  execute(batch: Batch): Promise<Float32Array>;
  /** Most steps of one {@link Executable.decode}; 0 or left out: the device cannot draw tokens. */
  readonly maxDecodeSteps?: number;
  /**
   * Runs a batch, draws its tokens on the device, and goes on with them, without a look at the logits in between.
   *
   * @throws {DeviceError} as {@link Executable.execute}.
   */
  decode?(request: DecodeRequest): Promise<DecodeResult>;
  /**
   * Draws a token from each row of logits, which the host has changed, with the draws of {@link Executable.decode}.
   *
   * @param rows Of `vocabSize` logits each, at most as many as a batch has outputs.
   * @returns Token ids, or {@link noToken}.
   * @throws {DeviceError} as {@link Executable.execute}.
   */
  draw?(rows: readonly Float32Array[], sampling: readonly RowSampling[]): Promise<Uint32Array>;
  /** How it goes about its work and why not in a faster way, for people; changes when it has to go another way. */
  readonly remark?: string;
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
