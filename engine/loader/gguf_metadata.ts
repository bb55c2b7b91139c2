/**
 * Values in the header of a GGUF file. Source: docs/gguf.md of ggml.
 *
 * @module
 */
import type { ByteFile } from "./byte_file.ts";

/** Arrays of numbers are typed arrays (of 0 and 1 for booleans), arrays of strings are packed, arrays of arrays are plain. */
export type GgufArray =
  | GgufStrings
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly GgufArray[];
/** A value; 64-bit integers that a number cannot hold are bigints. */
export type GgufValue = number | bigint | boolean | string | GgufArray;
/** All values by key. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Most bytes of a header that are read: several times those of any known model. */
const maxHeaderBytes = 2 ** 27;
/** Arrays in arrays in arrays are deeper than anything in use. */
const maxDepth = 4;
/** A vocabulary of 128,256 entries with its merges, and all tensors. */
const firstReadBytes = 2 ** 23;

const stringType = 8, arrayType = 9;
const numberTypes = new Map<number, { bytes: number; array: (buffer: ArrayBuffer) => Exclude<GgufArray, GgufStrings | readonly GgufArray[]> }>([
  [0, { bytes: 1, array: (buffer) => new Uint8Array(buffer) }],
  [1, { bytes: 1, array: (buffer) => new Int8Array(buffer) }],
  [2, { bytes: 2, array: (buffer) => new Uint16Array(buffer) }],
  [3, { bytes: 2, array: (buffer) => new Int16Array(buffer) }],
  [4, { bytes: 4, array: (buffer) => new Uint32Array(buffer) }],
  [5, { bytes: 4, array: (buffer) => new Int32Array(buffer) }],
  [6, { bytes: 4, array: (buffer) => new Float32Array(buffer) }],
  [7, { bytes: 1, array: (buffer) => new Uint8Array(buffer) }],
  [10, { bytes: 8, array: (buffer) => new BigUint64Array(buffer) }],
  [11, { bytes: 8, array: (buffer) => new BigInt64Array(buffer) }],
  [12, { bytes: 8, array: (buffer) => new Float64Array(buffer) }],
]);
const boolType = 7;

const decoder = new TextDecoder();

/** An array of strings as it lies in the file: 8 bytes of length and UTF-8, one after the other. Decoded when asked for. */
export class GgufStrings implements Iterable<string> {
  readonly length: number;
  readonly #bytes: Uint8Array;
  /** `[length + 1]` where each entry starts, its length included. */
  readonly #starts: Uint32Array;

  constructor(bytes: Uint8Array, starts: Uint32Array) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.length = starts.length - 1;
  }

  /** All of it, as it lies in the file. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** @throws {RangeError} when there is no such entry. */
  at(index: number): string {
    if (!(index >= 0 && index < this.length)) throw new RangeError(`Cannot get string ${index}: there are ${this.length}`);
    return decoder.decode(this.#bytes.subarray(this.#starts[index] + 8, this.#starts[index + 1]));
  }

  /** All of them; far faster than one by one. */
  toArray(): string[] {
    const bytes = this.#bytes, starts = this.#starts, joined = new Uint8Array(bytes.length);
    let end = 0;
    for (let i = 0; i < this.length; i++) {
      for (let at = starts[i] + 8; at < starts[i + 1]; at++) {
        // The separator is part of a string: they have to be taken apart by their lengths.
        if (bytes[at] === 0) return Array.from(this);
        joined[end++] = bytes[at];
      }
      joined[end++] = 0;
    }
    return this.length === 0 ? [] : decoder.decode(joined.subarray(0, end - 1)).split("\0");
  }

  *[Symbol.iterator](): Generator<string> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }
}

/** Reads a header from its start, no more of the file than it needs, and nothing that the file does not have. */
export class GgufCursor {
  readonly file: ByteFile;
  /** Of the next value. */
  offset = 0;
  /** The start of the file, as far as it has been read: `#view.byteLength` bytes. */
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);

  constructor(file: ByteFile) {
    this.file = file;
  }

  /** Bytes that the rest of the header can have. */
  get room(): number {
    return Math.min(this.file.size, maxHeaderBytes) - this.offset;
  }

  /** An error at `offset`, for the caller to throw. */
  error(what: string, offset = this.offset, errorClass: ErrorConstructor = SyntaxError): Error {
    return new errorClass(`Cannot read ${this.file.name} at offset ${offset}: ${what}`);
  }

  u32(what: string): number {
    const at = this.#take(4, what);
    return this.#view.getUint32(at, true);
  }

  /** A 64-bit length, count or offset; never more than `max`. */
  u64(what: string, max: number): number {
    const at = this.#take(8, what);
    const value = this.#view.getBigUint64(at, true);
    if (value > max) throw this.error(`${what} is ${value}, but there is room for ${Math.max(0, Math.floor(max))}`, at, RangeError);
    return Number(value);
  }

  string(what: string): string {
    const length = this.u64(`the length of ${what}`, this.room - 8), at = this.#take(length, what);
    return decoder.decode(this.#bytes.subarray(at, at + length));
  }

  /** A value with its type before it. */
  value(key: string): GgufValue {
    const at = this.offset, type = this.u32(`the type of ${key}`);
    if (type === stringType) return this.string(key);
    if (type === arrayType) return this.#array(key, 1);
    return this.#number(type, key, at);
  }

  #number(type: number, key: string, typeOffset: number): number | bigint | boolean {
    const numberType = numberTypes.get(type);
    if (numberType === undefined) throw this.error(`${key} has the unknown value type ${type}`, typeOffset);
    const at = this.#take(numberType.bytes, key);
    if (type === boolType) {
      if (this.#bytes[at] > 1) throw this.error(`${key} must be 0 or 1, got ${this.#bytes[at]}`, at);
      return this.#bytes[at] === 1;
    }
    const [value] = numberType.array(this.#bytes.buffer.slice(at, at + numberType.bytes));
    return typeof value === "bigint" && BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #array(key: string, depth: number): GgufArray {
    const at = this.offset, type = this.u32(`the type of the values of ${key}`), numberType = numberTypes.get(type);
    if (numberType !== undefined) {
      const bytes = numberType.bytes * this.u64(`the length of ${key}`, (this.room - 8) / numberType.bytes), start = this.#take(bytes, key);
      return numberType.array(this.#bytes.buffer.slice(start, start + bytes));
    }
    if (type === stringType) return this.#strings(key);
    if (type !== arrayType) throw this.error(`${key} has values of the unknown type ${type}`, at);
    if (depth === maxDepth) throw this.error(`${key} has more than ${maxDepth} arrays inside of one another`, at);
    // An empty array takes 12 bytes.
    const length = this.u64(`the length of ${key}`, (this.room - 8) / 12);
    const arrays: GgufArray[] = [];
    for (let i = 0; i < length; i++) arrays.push(this.#array(key, depth + 1));
    return arrays;
  }

  #strings(key: string): GgufStrings {
    const length = this.u64(`the length of ${key}`, (this.room - 8) / 8), first = this.offset, starts = new Uint32Array(length + 1);
    // Hundreds of thousands of them: a loop without calls is fast from the first time on.
    let at = first, view = this.#view;
    for (let i = 0; i < length; i++) {
      starts[i] = at - first;
      if (at + 8 > view.byteLength) view = this.#grow(at + 8, key);
      const low = view.getUint32(at, true);
      if (view.getUint32(at + 4, true) !== 0 || low > this.file.size - at - 8) {
        throw this.error(`the length of string ${i} of ${key} ends past the file`, at, RangeError);
      }
      at += 8 + low;
    }
    if (at > view.byteLength) this.#grow(at, key);
    this.offset = at;
    starts[length] = at - first;
    return new GgufStrings(this.#bytes.subarray(first, at), starts);
  }

  /** Makes sure that `length` bytes are there, and steps over them. */
  #take(length: number, what: string): number {
    const at = this.offset, end = at + length;
    if (end > this.#bytes.length) this.#grow(end, what);
    this.offset = end;
    return at;
  }

  #grow(end: number, what: string): DataView<ArrayBuffer> {
    if (end > this.file.size) throw this.error(`${what} ends past the file, which has ${this.file.size} bytes: it is cut off`, this.offset, RangeError);
    if (end > maxHeaderBytes) throw this.error(`${what} makes the header longer than ${maxHeaderBytes} bytes`, this.offset, RangeError);
    const bytes = new Uint8Array(Math.min(this.file.size, maxHeaderBytes, Math.max(end, 2 * this.#bytes.length, firstReadBytes)));
    bytes.set(this.#bytes);
    this.file.read(this.#bytes.length, bytes.subarray(this.#bytes.length));
    this.#bytes = bytes;
    return this.#view = new DataView(bytes.buffer);
  }
}
