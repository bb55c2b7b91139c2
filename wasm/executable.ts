/**
 * A program in the memories of its workers.
 *
 * @module
 */
import type { Batch } from "../engine/batch.ts";
import { DeviceError, type Executable, rowAlignment } from "../engine/backend.ts";
import { rowBytes } from "../engine/formats.ts";
import { encodeBatch } from "./batch_encoder.ts";
import { PACK, READ, WRITE } from "./control.ts";
import { Crew } from "./crew.ts";
import { formatNumber } from "./encode.ts";
import type { BufferPlace, Layout, TensorPlace } from "./layout.ts";
import type { Model } from "./model.ts";

/** Runs a program laid out by `layOut`. */
export class WasmExecutable implements Executable {
  readonly #layout: Layout;
  readonly #crew: Crew;
  /** The memories, or null where the worker keeps them to itself. */
  #memories: readonly WebAssembly.Memory[] | null;
  /** For each tensor which sets of {@link rowAlignment} rows are there. */
  readonly #written = new Map<string, Uint8Array>();
  /** Which half of the mailbox the next rows go to, while the workers pack the other. */
  #half = 0;
  #running = false;

  private constructor(layout: Layout, crew: Crew, memories: readonly WebAssembly.Memory[] | null) {
    this.#layout = layout;
    this.#crew = crew;
    this.#memories = memories;
    for (const [tensor, [{ rows }]] of layout.tensors) this.#written.set(tensor, new Uint8Array(Math.ceil(rows / rowAlignment)));
  }

  /**
   * Allocates the memories and starts the workers.
   *
   * @throws {DeviceError} when the machine does not give the memory.
   */
  static async create(layout: Layout, model: Model, threads: number): Promise<WasmExecutable> {
    const { plans, runs, batchAddress, embeds, logits } = layout;
    const { workerSource } = await import("./generated/model_worker.gen.ts");
    try {
      const memories = model.build === "threads" ? plans.map(({ pages }) => new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })) : null;
      const crew = await Crew.start(workerSource, {
        module: model.module,
        memories,
        plans,
        runs,
        batchAddress,
        embeds: { memory: embeds.memory, address: embeds.address },
        logits: { memory: logits.memory, address: logits.address, rowBytes: 4 * logits.buffer.cols },
        threads,
      }, layout.mailboxBytes);
      return new WasmExecutable(layout, crew, memories);
    } catch (error) {
      throw new DeviceError(`Cannot allocate ${layout.totalBytes} bytes in ${plans.length} memories: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }

  /** Bytes of its memories and of the mailbox. */
  get allocatedBytes(): number {
    const { plans } = this.#layout, memories = this.#memories?.map((memory) => memory.buffer.byteLength) ?? plans.map(({ pages }) => pages * 65536);
    return memories.reduce((sum, bytes) => sum + bytes, this.#crew.mailbox.byteLength);
  }

  #placesOf(tensor: string): readonly TensorPlace[] {
    const places = this.#layout.tensors.get(tensor);
    if (places === undefined) throw new TypeError(`Cannot write ${tensor}: the program has no such tensor`);
    return places;
  }

  writeRows(tensor: string, firstRow: number, bytes: Uint8Array): void {
    const places = this.#placesOf(tensor), [{ format, rows, cols }] = places, each = rowBytes(format, cols);
    const count = bytes.byteLength / each, end = firstRow + count;
    if (!Number.isInteger(count)) throw new RangeError(`Cannot write ${tensor}: ${bytes.byteLength} bytes are no whole rows of ${each}`);
    if (firstRow % rowAlignment !== 0 || (count % rowAlignment !== 0 && end !== rows) || end > rows) {
      throw new RangeError(`Cannot write ${tensor}: rows ${firstRow} to ${end} of ${rows}, expected multiples of ${rowAlignment}`);
    }
    const most = Math.max(rowAlignment, Math.floor(this.#layout.parcelBytes / each / rowAlignment) * rowAlignment);
    for (const place of places) {
      for (let row = 0; row < count; row += most) {
        this.#send(place, firstRow + row, bytes.subarray(row * each, Math.min(count, row + most) * each), each);
      }
    }
    this.#written.get(tensor)!.fill(1, firstRow / rowAlignment, Math.ceil(end / rowAlignment));
  }

  /** Sends rows to the workers, which pack them while the caller reads the next. */
  #send({ memory, address, format, rows, cols, vector }: TensorPlace, firstRow: number, bytes: Uint8Array, each: number): void {
    if (vector) return this.#write(memory, address, bytes);
    this.#parcel(bytes, (n, from) => [PACK, memory, address, formatNumber(format), firstRow, bytes.byteLength / each, rows, cols, n, from]);
  }

  /** Sends bytes as they are, in as many parcels as it takes. */
  #write(memory: number, address: number, bytes: Uint8Array): void {
    const { parcelBytes } = this.#layout;
    for (let at = 0; at < bytes.byteLength; at += parcelBytes) {
      this.#parcel(bytes.subarray(at, at + parcelBytes), (n, from) => [WRITE, memory, address + at, n, from]);
    }
  }

  #parcel(bytes: Uint8Array, command: (bytes: number, at: number) => [command: number, ...args: number[]]): void {
    const at = this.#half * this.#layout.parcelBytes;
    this.#crew.mailbox.set(bytes, at);
    this.#crew.send(...command(bytes.byteLength, at));
    this.#half = 1 - this.#half;
  }

  // deno-lint-ignore require-await -- rejects rather than throws
  async finishWeights(): Promise<void> {
    for (const [tensor, written] of this.#written) {
      const missing = written.indexOf(0);
      if (missing >= 0) throw new TypeError(`Cannot finish the weights: rows of ${tensor} from ${missing * rowAlignment} on were not written`);
    }
    this.#crew.finish();
  }

  async execute(batch: Batch): Promise<Float32Array> {
    await this.executeSteps(batch);
    const { logits } = this.#layout, count = batch.outputRows.length * logits.buffer.cols;
    if (this.#memories === null) return new Float32Array(this.#crew.mailbox.buffer, 0, count);
    return new Float32Array(this.#memories[logits.memory].buffer, logits.address, count);
  }

  /** Runs some of the steps, at least one; the ones before must have run on the same batch. For tests that ask which step is wrong. */
  async executeSteps(batch: Batch, from = 0, to = this.#layout.steps): Promise<void> {
    this.#crew.check();
    if (this.#running) throw new TypeError("Cannot execute: the batch before is still running");
    const { limits, batchAddress } = this.#layout;
    this.#running = true;
    try {
      this.#crew.finish();
      await this.#crew.run(encodeBatch(batch, limits, batchAddress, this.#crew.mailbox), from, to);
    } finally {
      this.#running = false;
    }
  }

  // deno-lint-ignore require-await -- rejects rather than throws
  async read(buffer: string, rows: number): Promise<Float32Array> {
    const place = this.#layout.buffers.get(buffer);
    if (place === undefined) throw new TypeError(`Cannot read ${buffer}: the program has no such buffer`);
    const values = new Float32Array(rows * place.buffer.cols);
    this.#read(place, new Uint8Array(values.buffer));
    return values;
  }

  /** Puts values into an activation buffer, where {@link WasmExecutable.read} reads them; for tests that give a step an input of their own. */
  // deno-lint-ignore require-await -- rejects rather than throws
  async write(buffer: string, values: Float32Array): Promise<void> {
    const place = this.#layout.buffers.get(buffer);
    if (place === undefined) throw new TypeError(`Cannot write ${buffer}: the program has no such buffer`);
    this.#write(place.memory, place.address, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    this.#crew.finish();
  }

  #read({ memory, address }: BufferPlace, to: Uint8Array): void {
    if (this.#memories !== null) return to.set(new Uint8Array(this.#memories[memory].buffer, address, to.length));
    const { mailbox } = this.#crew;
    for (let at = 0; at < to.length; at += mailbox.length) {
      const bytes = Math.min(mailbox.length, to.length - at);
      this.#crew.send(READ, memory, address + at, bytes);
      this.#crew.finish();
      to.set(mailbox.subarray(0, bytes), at);
    }
  }

  close(): void {
    this.#crew.close();
    this.#memories = null; // the workers' are gone with them
  }
}
