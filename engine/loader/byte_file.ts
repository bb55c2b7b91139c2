/**
 * Files that are read in pieces: the loaders see no other.
 *
 * @module
 */

/** A file of known size, read at any offset. */
export interface ByteFile {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /**
   * Fills `into` from `offset` on.
   *
   * @throws {RangeError} when the file ends before that.
   */
  read(offset: number, into: Uint8Array): void;
  /** As {@link ByteFile.read}, while other things go on, more reads among them. What it fills is not to be touched until then. */
  readAside(offset: number, into: Uint8Array): Promise<void>;
  close(): void;
}

/** Places of a local file that are read at once: one reader copies a few GB/s out of the page cache, a GPU takes ten times as much. */
const readers = 8;
/** What one of them reads at a time: the next read waits for the event loop. */
const pieceBytes = 2 ** 22;

/** Opens a file of the local disk. */
export async function openLocalFile(path: string): Promise<ByteFile> {
  const files = [await Deno.open(path)];
  try {
    const { size } = await files[0].stat();
    while (files.length <= readers) files.push(await Deno.open(path));
    return new LocalFile(path, files, size);
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

class LocalFile implements ByteFile {
  /** The same file, each with a place of its own. */
  readonly #files: readonly Deno.FsFile[];
  /** Those that nothing is read from. */
  readonly #idle: Deno.FsFile[];
  /** Who waits for one, in order. */
  readonly #waiting: ((file: Deno.FsFile) => void)[] = [];
  #open = true;

  constructor(readonly name: string, files: readonly Deno.FsFile[], readonly size: number) {
    this.#files = files;
    this.#idle = files.slice(1);
  }

  read(offset: number, into: Uint8Array): void {
    const [file] = this.#files;
    if (offset + into.length > this.size) throw pastEnd(this, offset, into.length);
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < into.length;) done += this.#counted(file.readSync(into.subarray(done)));
  }

  async readAside(offset: number, into: Uint8Array): Promise<void> {
    if (offset + into.length > this.size) throw pastEnd(this, offset, into.length);
    const pieces = Array.from({ length: Math.ceil(into.length / pieceBytes) }, (_, i) => i * pieceBytes);
    const results = await Promise.allSettled(pieces.map((at) => this.#readPiece(offset + at, into.subarray(at, at + pieceBytes))));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async #readPiece(offset: number, into: Uint8Array): Promise<void> {
    const file = this.#idle.pop() ?? await new Promise<Deno.FsFile>((resolve) => this.#waiting.push(resolve));
    try {
      file.seekSync(offset, Deno.SeekMode.Start);
      for (let done = 0; done < into.length;) done += this.#counted(await file.read(into.subarray(done)));
    } finally {
      const next = this.#waiting.shift();
      if (next) next(file);
      else this.#idle.push(file);
    }
  }

  #counted(count: number | null): number {
    if (count === null) throw new RangeError(`Cannot read ${this.name}: it was cut off, it had ${this.size} bytes when it was opened`);
    return count;
  }

  close(): void {
    if (this.#open) { for (const file of this.#files) file.close(); }
    this.#open = false;
  }
}

/** A file that is in memory already. */
export class MemoryFile implements ByteFile {
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(readonly name: string, bytes: Uint8Array) {
    this.#bytes = bytes;
    this.size = bytes.length;
  }

  read(offset: number, into: Uint8Array): void {
    if (offset + into.length > this.size) throw pastEnd(this, offset, into.length);
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }

  // deno-lint-ignore require-await -- rejects rather than throws
  async readAside(offset: number, into: Uint8Array): Promise<void> {
    this.read(offset, into);
  }

  close(): void {}
}

function pastEnd(file: ByteFile, offset: number, length: number): RangeError {
  return new RangeError(`Cannot read ${file.name}: ${length} bytes at offset ${offset} end past its ${file.size} bytes`);
}
