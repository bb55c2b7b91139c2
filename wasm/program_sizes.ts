/**
 * Bytes of everything that a compiled program needs. What the crate decides it is asked for.
 *
 * @module
 */
import { type CacheType, type CompileOptions, DeviceError, rowAlignment } from "../engine/backend.ts";
import { type Format, rowBytes } from "../engine/formats.ts";
import type { Buffer, Program, Weight, WeightPart } from "../engine/program.ts";
import { batchBytes, type BatchLimits } from "./batch_encoder.ts";
import { formatNumber } from "./encode.ts";
import type { Model } from "./model.ts";
import { type Load, matrixOf, operandsOf } from "./sharding.ts";

/** Bytes of a page of WebAssembly memory. */
export const PAGE_BYTES = 65536;
/** Bytes of one thread's stack. */
export const STACK_BYTES = 64 * 1024;
/** The words of a team, alone on their cache lines. */
export const TEAM_BYTES = 128;
/** The words of a context. */
export const CONTEXT_BYTES = 64;

/** Bytes, rounded up to where the next thing may start. */
export const aligned = (bytes: number, unit = 64) => Math.ceil(bytes / unit) * unit;

const elementBytes: Record<CacheType, number> = { f32: 4, f16: 2, bf16: 2 };
const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), 0);

/** Sizes of one program with one set of options. */
export class ProgramSizes {
  /** Every weight matrix; all other weights are vectors. */
  readonly matrices: ReadonlySet<Weight>;
  readonly limits: BatchLimits;
  readonly batch: number;
  /** One thread's own memory. */
  readonly private: number;
  /** Rows on their way into a weight, per thread. */
  readonly staging: number;
  /** Rows of all threads, normalized. */
  readonly normalized: number;
  /** Their int8 images. */
  readonly prepared: number;
  /** Attention states of slices. */
  readonly partials: number;
  /** Rows that travel to the workers at a time. */
  readonly parcel: number;
  readonly mailbox: number;
  readonly #options: CompileOptions;
  readonly #model: Model;
  readonly #memoryBytes: number;

  /** @throws {DeviceError} when something is larger than a memory of `memoryBytes`. */
  constructor(program: Program, options: CompileOptions, model: Model, memoryBytes: number) {
    this.#options = options;
    this.#model = model;
    this.#memoryBytes = memoryBytes;
    const { maxRows, maxOutputs, maxContext, threads, formats } = options, { sizes } = model;
    const matrices = program.steps.map(matrixOf).filter((weight) => weight !== undefined);
    this.matrices = new Set(matrices);
    const heads = program.steps.filter(({ op }) => op === "attention").map(({ consts }) => ({ group: consts.heads / consts.kvHeads, dim: consts.headDim }));
    const rows = Math.max(maxRows, maxOutputs), cols = most(matrices.map((weight) => weight.cols));
    const row = most(matrices.flatMap((weight) => weight.parts.map(({ tensor }) => rowBytes(formats.get(tensor)!, weight.cols))));
    const { table, out } = operandsOf(program.steps[0]) as { table: Weight; out: Buffer };
    this.limits = { ...options, vocabSize: table.rows, hiddenSize: out.cols, headDim: most(heads.map(({ dim }) => dim)) };
    this.batch = aligned(batchBytes(this.limits));
    this.private = aligned(most([{ group: 1, dim: 4 }, ...heads].map(({ group, dim }) => sizes.private_bytes(cols, group, dim))));
    this.partials = most(heads.map(({ group, dim }) => sizes.partial_bytes(threads, maxContext, group, dim) >>> 0));
    this.prepared = options.activations === "int8" ? this.#ask("int8 activations", rows * cols, () => sizes.prepared_bytes(rows, cols)) : 0;
    const normalized = program.steps.filter((step) => "norm" in operandsOf(step)).map((step) => matrixOf(step)!.cols);
    this.normalized = aligned(4 * rows * most(normalized));
    this.staging = aligned(Math.max(rowAlignment * row, 1 << 18));
    this.parcel = aligned(Math.max(threads * rowAlignment * row, 1 << 20));
    const logits = model.build === "simd" ? this.buffer(program.logits) : 0;
    this.mailbox = Math.max(this.batch + this.buffer(out), 2 * this.parcel, logits);
  }

  /** The crate's answers wrap at 4 GiB: what is certainly larger is not asked for. */
  #ask(what: string, atLeast: number, exact: () => number): number {
    if (atLeast > this.#memoryBytes) {
      throw new DeviceError(`Cannot place ${what}: it takes at least ${atLeast} bytes, one memory has ${this.#memoryBytes}`);
    }
    return aligned(exact() >>> 0);
  }

  formatOf(tensor: string): Format {
    return this.#options.formats.get(tensor)!;
  }

  /** Packed rows of one tensor. */
  part({ cols }: Weight, { tensor, rows }: WeightPart): number {
    const format = this.formatOf(tensor);
    return this.#ask(tensor, rows * rowBytes(format, cols), () => this.#model.sizes.packed_bytes(formatNumber(format), rows, cols));
  }

  /** A matrix or a layer's cache. */
  load(load: Load): number {
    if (load.kind === "weight") return load.parts.reduce((sum, part) => sum + this.part(load, part), 0);
    const { blocks, blockSize, cacheType } = this.#options;
    return aligned(load.kvHeads * blocks * blockSize * 2 * aligned(load.headDim, 4) * elementBytes[cacheType]);
  }

  buffer({ rows, cols }: Buffer): number {
    const { maxRows, maxOutputs } = this.#options;
    return aligned(4 * cols * (rows === "tokens" ? maxRows : maxOutputs));
  }

  vector({ cols }: Weight): number {
    return aligned(4 * cols);
  }

  /** What every memory holds, whichever steps run there. */
  get fixed(): number {
    const { threads } = this.#options, perThread = STACK_BYTES + this.private + this.staging;
    return this.#model.reservedPages * PAGE_BYTES + this.batch + TEAM_BYTES + CONTEXT_BYTES + threads * perThread + this.normalized + this.prepared +
      this.partials;
  }
}
