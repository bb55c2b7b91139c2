/**
 * Where everything lies: decides every address of a compiled program before a byte is allocated.
 *
 * @module
 */
import { type CompileOptions, DeviceError } from "../engine/backend.ts";
import type { Format } from "../engine/formats.ts";
import type { Binding, Buffer, Program, Step, Weight } from "../engine/program.ts";
import { type BatchLimits, batchWords } from "./batch_encoder.ts";
import type { MemoryPlan, Run } from "./control.ts";
import { cacheTypeNumber, encode } from "./encode.ts";
import type { Model } from "./model.ts";
import { checkProgram } from "./program_check.ts";
import { aligned, CONTEXT_BYTES, PAGE_BYTES, ProgramSizes, STACK_BYTES, TEAM_BYTES } from "./program_sizes.ts";
import { operandsOf, shard } from "./sharding.ts";

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
  /** How many steps the program has. */
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

/** Addresses of one memory, handed out from the bottom up. */
class MemoryLayout {
  readonly batchAddress: number;
  readonly plan: Omit<MemoryPlan, "pages" | "image">;
  readonly image: { address: number; words: Uint32Array }[];
  /** Of buffers, vectors and caches. */
  readonly addresses = new Map<Binding, number>();
  /** Of matrices. */
  readonly parts = new Map<Binding, { format: Format; rows: number; address: number }[]>();
  #end: number;

  constructor(model: Model, sizes: ProgramSizes, { threads, activations, cacheType, blocks, blockSize }: CompileOptions) {
    this.#end = model.reservedPages * PAGE_BYTES;
    this.batchAddress = this.take(sizes.batch); // first, so that it is the same in every memory
    this.plan = {
      teamAddress: this.take(TEAM_BYTES),
      contextAddress: this.take(CONTEXT_BYTES),
      stackTop: this.take(threads * STACK_BYTES) + STACK_BYTES,
      stackBytes: STACK_BYTES,
      privateAddress: this.take(threads * sizes.private),
      privateBytes: sizes.private,
      stagingAddress: this.take(threads * sizes.staging),
      stagingBytes: sizes.staging,
    };
    const shared = [sizes.normalized, sizes.prepared, sizes.partials].map((bytes) => this.take(bytes));
    // `Context` in the crate's program.rs.
    const context = [this.plan.teamAddress, threads, Number(activations === "int8"), cacheTypeNumber(cacheType), blocks * blockSize, blockSize, ...shared];
    this.image = [{ address: this.plan.contextAddress, words: Uint32Array.from(context) }];
  }

  take(bytes: number): number {
    const start = this.#end;
    this.#end = aligned(start + bytes);
    return start;
  }

  get pages(): number {
    return Math.ceil(this.#end / PAGE_BYTES);
  }

  /** Makes room for what steps bind. @returns Where tensors go. */
  place(steps: readonly Step[], sizes: ProgramSizes, memory: number): [tensor: string, TensorPlace][] {
    const tensors: [string, TensorPlace][] = [];
    for (const bound of new Set(steps.flatMap((step) => step.binds))) {
      if (bound === null) continue;
      if (bound.kind === "buffer") this.addresses.set(bound, this.take(sizes.buffer(bound)));
      else if (bound.kind === "cache") this.addresses.set(bound, this.take(sizes.load(bound)));
      else if (sizes.matrices.has(bound)) {
        const parts = bound.parts.map((part) => ({ ...part, format: sizes.formatOf(part.tensor), address: this.take(sizes.part(bound, part)) }));
        this.parts.set(bound, parts);
        for (const { tensor, ...place } of parts) tensors.push([tensor, { ...place, cols: bound.cols, memory, vector: false }]);
      } else {
        let address = this.take(sizes.vector(bound));
        this.addresses.set(bound, address);
        for (const { tensor, rows: cols } of bound.parts) {
          tensors.push([tensor, { format: "f32", rows: 1, cols, memory, address, vector: true }]);
          address += 4 * cols;
        }
      }
    }
    return tensors;
  }

  /** Encodes steps of this memory. @returns Address of each, then of their end. */
  write(steps: readonly Step[]): number[] {
    const { words, starts } = encode(steps, { of: (bound) => this.addresses.get(bound)!, parts: (bound) => this.parts.get(bound)! });
    const address = this.take(words.byteLength);
    this.image.push({ address, words });
    return starts.map((start) => address + 4 * start);
  }
}

/** Bytes that a memory needs besides weights and caches, at most: as if every step ran there, each in a run of its own. */
function overhead(program: Program, sizes: ProgramSizes): number {
  const partsOf = (weight: Weight) => weight.parts.map(({ tensor, rows }) => ({ format: sizes.formatOf(tensor), rows, address: 0 }));
  const code = encode(program.steps, { of: () => 0, parts: partsOf }).words.byteLength + 64 * program.steps.length;
  const vectors = program.weights.filter((weight) => !sizes.matrices.has(weight)).reduce((sum, weight) => sum + sizes.vector(weight), 0);
  return program.buffers.reduce((sum, buffer) => sum + sizes.buffer(buffer), sizes.fixed + vectors + aligned(code));
}

/**
 * Decides where everything of a program lies.
 *
 * @param memoryBytes Most bytes of one memory.
 * @throws {DeviceError} when a part is larger than a memory can be.
 * @throws {TypeError | RangeError} when the crate cannot run the program.
 */
export function layOut(program: Program, options: CompileOptions, model: Model, memoryBytes: number): Layout {
  checkProgram(program, options);
  const sizes = new ProgramSizes(program, options, model, memoryBytes), besides = overhead(program, sizes);
  if (besides > memoryBytes) {
    const fix = "compute fewer tokens in a step (maxNumBatchedTokens), or ask for shorter contexts (maxModelLen)";
    throw new DeviceError(`Cannot place the activations: they take ${besides} bytes, one memory has ${memoryBytes}; ${fix}`);
  }
  const { memories: count, shards, lastMemory } = shard(program, (load) => sizes.load(load), memoryBytes - besides);

  const tensors = new Map<string, TensorPlace[]>();
  const memories = Array.from({ length: count }, (_, memory) => {
    const layout = new MemoryLayout(model, sizes, options), steps = shards.filter((shard) => shard.memory === memory).flatMap((shard) => shard.steps);
    for (const [tensor, place] of layout.place(steps, sizes, memory)) tensors.set(tensor, [...tensors.get(tensor) ?? [], place]);
    return layout;
  });
  const addressOf = (buffer: Buffer, memory: number) => memories[memory].addresses.get(buffer)!;
  let firstStep = 0;
  const runs = shards.map(({ memory, steps, copies }): Run => {
    const start = firstStep;
    firstStep += steps.length;
    return {
      memory,
      firstStep: start,
      stepAddresses: memories[memory].write(steps),
      copies: copies.map(({ buffer, from }) => ({
        from,
        fromAddress: addressOf(buffer, from),
        toAddress: addressOf(buffer, memory),
        rowBytes: 4 * buffer.cols,
        count: batchWords.indexOf(buffer.rows === "tokens" ? "rows" : "outputs"),
      })),
    };
  });
  const plans = memories.map((layout): MemoryPlan => ({ ...layout.plan, pages: layout.pages, image: layout.image }));
  const place = (buffer: Buffer, memory = lastMemory.get(buffer)!): BufferPlace => ({ buffer, memory, address: addressOf(buffer, memory) });
  return {
    steps: program.steps.length,
    plans,
    runs,
    tensors,
    buffers: new Map([...lastMemory.keys()].map((buffer) => [buffer.name, place(buffer)])),
    logits: place(program.logits),
    embeds: place(operandsOf(program.steps[0]).out as Buffer, shards[0].memory),
    batchAddress: memories[0].batchAddress,
    limits: sizes.limits,
    mailboxBytes: sizes.mailbox,
    parcelBytes: sizes.parcel,
    totalBytes: plans.reduce((sum, plan) => sum + plan.pages * PAGE_BYTES, sizes.mailbox),
  };
}
