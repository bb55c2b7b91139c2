/**
 * Where everything lies: decides every address of a compiled program before a byte is allocated.
 *
 * @module
 */
import { type CompileOptions, DeviceError, rowAlignment } from "../engine/backend.ts";
import { type Format, rowBytes } from "../engine/formats.ts";
import type { Binding, Buffer, Program, Weight } from "../engine/program.ts";
import { batchBytes, type BatchLimits, batchWords } from "./batch_encoder.ts";
import type { MemoryPlan, Run } from "./control.ts";
import { encode, formatNumber } from "./encode.ts";
import type { Model } from "./model.ts";
import { type Load, matrixOf, operandsOf, shard } from "./sharding.ts";

/** Where (part of) a checkpoint tensor goes. A vector is one row of float32. */
export interface TensorPlace {
  readonly format: Format;
  readonly rows: number;
  readonly cols: number;
  readonly memory: number;
  readonly address: number;
  readonly vector: boolean;
}

/** Where a buffer can be read when the program has run. */
export interface BufferPlace {
  readonly buffer: Buffer;
  readonly memory: number;
  readonly address: number;
}

/** A program's place in one or more memories. */
export interface Layout {
  /** How many the program has. */
  readonly steps: number;
  readonly plans: readonly MemoryPlan[];
  readonly runs: readonly Run[];
  readonly tensors: ReadonlyMap<string, readonly TensorPlace[]>;
  readonly buffers: ReadonlyMap<string, BufferPlace>;
  readonly logits: BufferPlace;
  /** Embed's output, where a batch's own embeddings go. */
  readonly embeds: BufferPlace;
  readonly batchAddress: number;
  readonly limits: BatchLimits;
  readonly mailboxBytes: number;
  /** Bytes of the half of the mailbox that rows travel in. */
  readonly parcelBytes: number;
  /** Bytes of all memories and of the mailbox. */
  readonly totalBytes: number;
}

const PAGE = 65536;
const STACK_BYTES = 64 * 1024;
/** The words of a team, alone on their cache lines. */
const TEAM_BYTES = 128;
const cacheTypes = { f32: [0, 4], f16: [1, 2], bf16: [2, 2] } as const;
/** Most parts of a weight: `MOST_PARTS` in the crate. */
const MOST_PARTS = 8;

const align = (bytes: number, unit = 64) => Math.ceil(bytes / unit) * unit;

/** Hands out addresses of one memory. */
class Cursor {
  at: number;
  constructor(start: number) {
    this.at = start;
  }
  take(bytes: number): number {
    const start = this.at;
    this.at = align(start + bytes);
    return start;
  }
}

function checked(program: Program, { formats, threads }: CompileOptions): void {
  if (!(threads >= 1)) throw new RangeError(`Cannot use ${threads} threads: at least 1 is needed`);
  for (const step of program.steps) {
    const matrix = matrixOf(step), { heads, kvHeads, headDim } = step.consts;
    for (const bound of step.binds) {
      if (bound?.kind !== "weight") continue;
      for (const { tensor } of bound.parts) {
        const format = formats.get(tensor);
        if (format === undefined) throw new TypeError(`Cannot compile step ${step.label}: ${tensor} has no format`);
        if (bound === matrix) rowBytes(format, bound.cols);
        else if (format !== "f32") throw new TypeError(`Cannot compile step ${step.label}: the vector ${tensor} must be f32, got ${format}`);
      }
    }
    if (matrix !== undefined && matrix.parts.length > MOST_PARTS) {
      throw new RangeError(`Cannot compile step ${step.label}: ${matrix.name} has ${matrix.parts.length} parts, at most ${MOST_PARTS} are possible`);
    }
    if (step.op === "normGatedLinear" && (matrix!.parts.length !== 2 || matrix!.parts[0].rows !== matrix!.parts[1].rows)) {
      throw new TypeError(`Cannot compile step ${step.label}: ${matrix!.name} must be two parts of equal shape, gate and up`);
    }
    if (heads !== undefined && (heads % kvHeads !== 0 || headDim % 2 !== 0)) {
      throw new RangeError(`Cannot compile step ${step.label}: ${heads} heads of ${headDim} values do not go with ${kvHeads} KV heads`);
    }
  }
}

/**
 * Decides where everything of a program lies.
 *
 * @param memoryBytes Most bytes of one memory.
 * @throws {DeviceError} when a part is larger than a memory can be.
 */
export function layOut(program: Program, options: CompileOptions, model: Model, memoryBytes: number): Layout {
  checked(program, options);
  const { maxRows, maxOutputs, maxSequences, maxContext, blockSize, blocks, cacheType, formats, threads } = options;
  const { sizes } = model, [cacheNumber, cacheElementBytes] = cacheTypes[cacheType], slots = blocks * blockSize;
  /** Sizes above 4 GiB wrap inside the module: those that are certainly above do not get there. */
  const size = (what: string, atLeast: number, exact: () => number): number => {
    if (atLeast > memoryBytes) throw new DeviceError(`Cannot place ${what}: it takes at least ${atLeast} bytes, one memory has ${memoryBytes}`);
    return align(exact() >>> 0);
  };

  const matrices = new Set(program.steps.map(matrixOf).filter((weight) => weight !== undefined));
  const buffers = program.buffers, attention = program.steps.filter((step) => step.op === "attention").map((step) => step.consts);
  const most = (values: number[]) => values.reduce((a, b) => Math.max(a, b), 0);
  const formatOf = (tensor: string) => formats.get(tensor)!;
  const partBytes = (weight: Weight, { tensor, rows }: Weight["parts"][number]) => {
    const format = formatOf(tensor);
    return size(tensor, rows * rowBytes(format, weight.cols), () => sizes.packed_bytes(formatNumber(format), rows, weight.cols));
  };
  const bytesOf = (load: Load) => {
    if (load.kind === "weight") return load.parts.reduce((sum, part) => sum + partBytes(load, part), 0);
    return align(load.kvHeads * slots * 2 * align(load.headDim, 4) * cacheElementBytes);
  };
  const bufferBytes = ({ rows, cols }: Buffer) => align(4 * cols * (rows === "tokens" ? maxRows : maxOutputs));

  const maxCols = most([...matrices].map((weight) => weight.cols));
  const maxRowBytes = most([...matrices].flatMap((weight) => weight.parts.map(({ tensor }) => rowBytes(formatOf(tensor), weight.cols))));
  const anyRows = Math.max(maxRows, maxOutputs);
  const limits: BatchLimits = {
    maxRows,
    maxOutputs,
    maxSequences,
    maxContext,
    blockSize,
    blocks,
    vocabSize: program.steps.find((step) => step.op === "embed") ? matrixOf(program.steps.find((step) => step.op === "embed")!)!.rows : 0,
    hiddenSize: operandsOf(program.steps[0]).out!.kind === "buffer" ? (operandsOf(program.steps[0]).out as Buffer).cols : 0,
    headDim: most(program.steps.filter((step) => step.op === "ropeStore").map((step) => step.consts.headDim)),
  };
  const privateBytes = align(most([
    sizes.private_bytes(maxCols, 1, 4),
    ...attention.map(({ heads, kvHeads, headDim }) => sizes.private_bytes(maxCols, heads / kvHeads, headDim)),
  ]));
  const partialBytes = most(attention.map(({ heads, kvHeads, headDim }) => sizes.partial_bytes(threads, maxContext, heads / kvHeads, headDim) >>> 0));
  const preparedBytes = options.activations === "int8" ? size("int8 activations", anyRows * maxCols, () => sizes.prepared_bytes(anyRows, maxCols)) : 0;
  const normalizedBytes = 4 * anyRows * maxCols;
  const stagingBytes = align(Math.max(rowAlignment * maxRowBytes, 1 << 18));
  const vectorBytes = program.weights.filter((weight) => !matrices.has(weight)).reduce((sum, weight) => sum + align(4 * weight.cols), 0);
  const codeBytes = align(4 * encode(program.steps, { of: () => 0, parts: partsOf }).words.length);
  function partsOf(weight: Weight) {
    return weight.parts.map(({ tensor, rows }) => ({ format: formatOf(tensor), rows, address: 0 }));
  }

  // What every memory holds before weights and caches, at most.
  const reserved = model.reservedPages * PAGE;
  const fixed = reserved + align(batchBytes(limits)) + TEAM_BYTES + 64 + threads * (STACK_BYTES + privateBytes + stagingBytes) + align(normalizedBytes) +
    preparedBytes + align(partialBytes) + buffers.reduce((sum, buffer) => sum + bufferBytes(buffer), 0) + vectorBytes + codeBytes + 64;
  if (fixed > memoryBytes) throw new DeviceError(`Cannot place the activations: they take ${fixed} bytes, one memory has ${memoryBytes}`);
  const sharding = shard(program, bytesOf, memoryBytes - fixed);

  const tensors = new Map<string, TensorPlace[]>();
  const addTensor = (name: string, place: TensorPlace) => tensors.set(name, [...tensors.get(name) ?? [], place]);
  const memories = Array.from({ length: sharding.memories }, (_, memory) => {
    const cursor = new Cursor(reserved), steps = sharding.shards.filter((shard) => shard.memory === memory).flatMap((shard) => shard.steps);
    const batchAddress = cursor.take(batchBytes(limits)), teamAddress = cursor.take(TEAM_BYTES), contextAddress = cursor.take(64);
    const stackTop = cursor.take(threads * STACK_BYTES) + STACK_BYTES;
    const privateAddress = cursor.take(threads * privateBytes), stagingAddress = cursor.take(threads * stagingBytes);
    const normalized = cursor.take(normalizedBytes), prepared = cursor.take(preparedBytes), partials = cursor.take(partialBytes);
    const context = [teamAddress, threads, Number(options.activations === "int8"), cacheNumber, slots, blockSize, normalized, prepared, partials];
    const addresses = new Map<Binding, number>(), parts = new Map<Binding, { format: Format; rows: number; address: number }[]>();
    for (const bound of new Set(steps.flatMap((step) => step.binds))) {
      if (bound === null) continue;
      if (bound.kind === "buffer") addresses.set(bound, cursor.take(bufferBytes(bound)));
      else if (bound.kind === "cache") addresses.set(bound, cursor.take(bytesOf(bound)));
      else if (matrices.has(bound)) {
        parts.set(
          bound,
          bound.parts.map((part) => {
            const format = formatOf(part.tensor), address = cursor.take(partBytes(bound, part));
            addTensor(part.tensor, { format, rows: part.rows, cols: bound.cols, memory, address, vector: false });
            return { format, rows: part.rows, address };
          }),
        );
      } else {
        let address = cursor.take(4 * bound.cols);
        addresses.set(bound, address);
        for (const { tensor, rows: cols } of bound.parts) {
          addTensor(tensor, { format: "f32", rows: 1, cols, memory, address, vector: true });
          address += 4 * cols;
        }
      }
    }
    return { cursor, batchAddress, teamAddress, contextAddress, stackTop, privateAddress, stagingAddress, context, addresses, parts };
  });

  const images: { address: number; words: Uint32Array }[][] = memories.map((
    { contextAddress, context },
  ) => [{ address: contextAddress, words: Uint32Array.from(context) }]);
  let firstStep = 0;
  const runs = sharding.shards.map(({ memory, steps, copies }): Run => {
    const { cursor, addresses, parts } = memories[memory];
    const { words, starts } = encode(steps, { of: (bound) => addresses.get(bound)!, parts: (bound) => parts.get(bound)! });
    const codeAddress = cursor.take(words.byteLength);
    images[memory].push({ address: codeAddress, words });
    firstStep += steps.length;
    return {
      memory,
      firstStep: firstStep - steps.length,
      stepAddresses: starts.map((start) => codeAddress + 4 * start),
      copies: copies.map(({ buffer, from }) => ({
        from,
        fromAddress: memories[from].addresses.get(buffer)!,
        toAddress: addresses.get(buffer)!,
        rowBytes: 4 * buffer.cols,
        count: batchWords.indexOf(buffer.rows === "tokens" ? "rows" : "outputs"),
      })),
    };
  });
  const plans = memories.map(({ cursor, teamAddress, contextAddress, stackTop, privateAddress, stagingAddress }, memory): MemoryPlan => ({
    pages: Math.ceil(cursor.at / PAGE),
    contextAddress,
    teamAddress,
    stackTop,
    stackBytes: STACK_BYTES,
    privateAddress,
    privateBytes,
    stagingAddress,
    stagingBytes,
    image: images[memory],
  }));
  const placeOf = (buffer: Buffer, memory = sharding.lastMemory.get(buffer)!) => ({ buffer, memory, address: memories[memory].addresses.get(buffer)! });
  const parcelBytes = align(Math.max(threads * rowAlignment * maxRowBytes, 1 << 20));
  const embeds = placeOf(operandsOf(program.steps[0]).out as Buffer, sharding.shards[0].memory), logits = placeOf(program.logits);
  const logitsBytes = model.build === "simd" ? bufferBytes(program.logits) : 0;
  const mailboxBytes = Math.max(batchBytes(limits) + bufferBytes(embeds.buffer), 2 * parcelBytes, logitsBytes);
  return {
    steps: program.steps.length,
    plans,
    runs,
    tensors,
    buffers: new Map([...sharding.lastMemory.keys()].map((buffer) => [buffer.name, placeOf(buffer)])),
    logits,
    embeds,
    batchAddress: memories[0].batchAddress,
    limits,
    mailboxBytes,
    parcelBytes,
    totalBytes: plans.reduce((sum, plan) => sum + plan.pages * PAGE, 0) + mailboxBytes,
  };
}
