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
    if (offset + into.length > this.size) throw pastEnd(this, offset, into.length);
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < into.length;) {
      const count = this.#file.readSync(into.subarray(done));
      if (count === null) throw new RangeError(`Cannot read ${this.name}: it ends at offset ${offset + done}, it had ${this.size} bytes when it was opened`);
      done += count;
    }
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

  close(): void {}
}

function pastEnd(file: ByteFile, offset: number, length: number): RangeError {
  return new RangeError(`Cannot read ${file.name}: ${length} bytes at offset ${offset} end past its ${file.size} bytes`);
}
