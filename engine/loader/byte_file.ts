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
  /** As {@link ByteFile.read}, while other things go on. One at a time; what it fills is not to be touched until then. */
  readAside(offset: number, into: Uint8Array): Promise<void>;
  close(): void;
}

/** Places of a local file that are read at once: one reader copies 4 GB/s out of the page cache, four read as fast as weights are uploaded. */
const readers = 4;
/** What is shorter is read by one. */
const leastBytes = 2 ** 18;

/** Opens a file of the local disk. */
export async function openLocalFile(path: string): Promise<ByteFile> {
  const files = [await Deno.open(path)];
  try {
    const { size } = await files[0].stat();
    while (files.length < readers) files.push(await Deno.open(path));
    return new LocalFile(path, files, size);
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

class LocalFile implements ByteFile {
  /** The same file, each with a place of its own. */
  readonly #files: readonly Deno.FsFile[];
  #open = true;

  constructor(readonly name: string, files: readonly Deno.FsFile[], readonly size: number) {
    this.#files = files;
  }

  read(offset: number, into: Uint8Array): void {
    const [file] = this.#files;
    if (offset + into.length > this.size) throw pastEnd(this, offset, into.length);
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < into.length;) done += this.#counted(file.readSync(into.subarray(done)));
  }

  async readAside(offset: number, into: Uint8Array): Promise<void> {
    if (offset + into.length > this.size) throw pastEnd(this, offset, into.length);
    const each = Math.max(leastBytes, Math.ceil(into.length / this.#files.length));
    await Promise.all(this.#files.map(async (file, i) => {
      const part = into.subarray(i * each, (i + 1) * each);
      if (part.length > 0) file.seekSync(offset + i * each, Deno.SeekMode.Start);
      for (let done = 0; done < part.length;) done += this.#counted(await file.read(part.subarray(done)));
    }));
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
