/**
 * Reads rows ahead of their use, as far as there is memory for them.
 *
 * @module
 */
import type { Checkpoint } from "./checkpoint.ts";

/** Rows that are read at once. */
export interface Rows {
  readonly tensor: string;
  readonly firstRow: number;
  readonly rows: number;
  /** Bytes that they take as they are stored. */
  readonly storedBytes: number;
}

/** Rows of a checkpoint in the order of their use. To be settled when not all of them are asked for. */
export class ReadAhead<T extends Rows> {
  readonly all: readonly T[];
  readonly #checkpoint: Checkpoint;
  readonly #memory: RingMemory;
  /** What is being read or was, in order. */
  readonly #reading: Promise<Uint8Array>[] = [];
  #next = 0;

  /**
   * Begins to read.
   *
   * @param bytes Memory for rows: a few times what the most of them take.
   */
  constructor(checkpoint: Checkpoint, all: readonly T[], bytes: number) {
    [this.#checkpoint, this.all, this.#memory] = [checkpoint, all, new RingMemory(bytes)];
    this.#start();
  }

  /** All rows, each with its bytes, which are valid until the next ones are asked for. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly [rows: T, bytes: Uint8Array]> {
    for (const rows of this.all) {
      yield [rows, await this.#reading[0]];
      this.#reading.shift();
      this.#memory.giveBack();
      this.#start();
    }
  }

  /** Waits for what nobody wants any more: it is still written into memory, and needs its file. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#reading);
  }

  /** Reads as much more as there is memory for. */
  #start(): void {
    for (; this.#next < this.all.length; this.#next++) {
      const { tensor, firstRow, rows, storedBytes } = this.all[this.#next], memory = this.#memory.take(storedBytes);
      if (!memory) return;
      const reading = this.#checkpoint.readRows(tensor, firstRow, rows, memory);
      reading.catch(() => {}); // noticed when it is its turn
      this.#reading.push(reading);
    }
  }
}

/** Memory that is given back in the order in which it was taken. */
class RingMemory {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  /** Where each piece that is out begins and ends. */
  readonly #pieces: { readonly start: number; readonly end: number }[] = [];

  constructor(bytes: number) {
    this.#bytes = new Uint8Array(bytes);
  }

  /** @returns Undefined when there is not as much before some is given back. */
  take(bytes: number): Uint8Array<ArrayBuffer> | undefined {
    const first = this.#pieces.at(0), last = this.#pieces.at(-1), free = (start: number, end: number) => start + bytes <= end ? start : undefined;
    let start: number | undefined;
    if (!first || !last) start = free(0, this.#bytes.length);
    else if (first.start < last.end) start = free(last.end, this.#bytes.length) ?? free(0, first.start);
    else start = free(last.end, first.start);
    if (start === undefined) return undefined;
    this.#pieces.push({ start, end: start + bytes });
    return this.#bytes.subarray(start, start + bytes);
  }

  giveBack(): void {
    this.#pieces.shift();
  }
}
