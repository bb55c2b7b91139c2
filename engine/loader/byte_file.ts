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

/** Opens a file of the local disk. */
export async function openLocalFile(path: string): Promise<ByteFile> {
  const file = await Deno.open(path);
  try {
    return new LocalFile(path, file, (await file.stat()).size);
  } catch (error) {
    file.close();
    throw error;
  }
}

class LocalFile implements ByteFile {
  readonly #file: Deno.FsFile;
  #open = true;

  constructor(readonly name: string, file: Deno.FsFile, readonly size: number) {
    this.#file = file;
  }

  read(offset: number, into: Uint8Array): void {
    this.#seek(offset, into.length);
    for (let done = 0; done < into.length;) done += this.#counted(this.#file.readSync(into.subarray(done)), offset + done);
  }

  async readAside(offset: number, into: Uint8Array): Promise<void> {
    this.#seek(offset, into.length);
    for (let done = 0; done < into.length;) done += this.#counted(await this.#file.read(into.subarray(done)), offset + done);
  }

  #seek(offset: number, length: number): void {
    if (offset + length > this.size) throw pastEnd(this, offset, length);
    this.#file.seekSync(offset, Deno.SeekMode.Start);
  }

  #counted(count: number | null, offset: number): number {
    if (count !== null) return count;
    throw new RangeError(`Cannot read ${this.name}: it ends at offset ${offset}, it had ${this.size} bytes when it was opened`);
  }

  close(): void {
    if (this.#open) this.#file.close();
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
