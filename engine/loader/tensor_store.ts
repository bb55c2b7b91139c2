/**
 * Tensors inside of files, whatever the container, read in whole rows.
 *
 * @module
 */
import { rowBytes, type StorageType, storageTypes } from "../formats.ts";
import type { ByteFile } from "./byte_file.ts";

/** Number types that files may hold beside weights, with their bytes. */
export const otherTypes = {
  bool: 1,
  u8: 1,
  i8: 1,
  f8_e4m3: 1,
  f8_e5m2: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
} as const;

/** A number type that is listed but cannot be a weight. */
export type OtherType = keyof typeof otherTypes;

/** @returns Whether weights can be stored like that. */
export function isStorageType(type: StorageType | OtherType): type is StorageType {
  return Object.hasOwn(storageTypes, type);
}

/** A tensor as it lies in a file. */
export interface StoredTensor {
  readonly storageType: StorageType | OtherType;
  /** Outermost dimension first, as in Transformers: `[out, in]`. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly file: ByteFile;
  /** Of its first byte in the file. */
  readonly offsetBytes: number;
  /** Rows of each attention head where the file has them in llama.cpp's order for rotating neighbours; absent: as in Transformers. */
  readonly interleavedHeadRows?: number;
  /** Fills `rows` with its rows from `firstRow` on, where the file does not have them as they are. */
  readonly assemble?: (firstRow: number, rows: Uint8Array<ArrayBuffer>) => void;
}

/**
 * Bytes of a tensor of that shape.
 *
 * @returns NaN when the number is too large to be exact, or when its rows are not whole blocks.
 */
export function tensorBytes(type: StorageType | OtherType, shape: readonly number[]): number {
  const values = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(values)) return NaN;
  const [blockValues, blockBytes] = isStorageType(type) ? storageTypes[type] : [1, otherTypes[type]];
  if ((shape.at(-1) ?? 1) % blockValues !== 0) return NaN;
  const bytes = values / blockValues * blockBytes;
  return Number.isSafeInteger(bytes) ? bytes : NaN;
}

/** Reads rows of tensors. */
export class TensorStore {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #files: readonly ByteFile[];
  /** Memory for heads on their way into order. */
  readonly #heads: Uint8Array<ArrayBuffer>[] = [];

  constructor(tensors: ReadonlyMap<string, StoredTensor>, files: readonly ByteFile[]) {
    this.tensors = tensors;
    this.#files = files;
  }

  /**
   * Rows of a tensor in its storage type, heads in the order of Transformers. A vector is one row. Several may be read at once.
   *
   * @param into Where they are to be; memory of their own otherwise.
   * @returns The beginning of `into`, as much as the rows take.
   * @throws {TypeError} when there is no such tensor, or it is no vector or matrix of weights.
   * @throws {RangeError} when it has fewer rows, or `into` is too small.
   */
  async readRows(name: string, firstRow: number, rowCount: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new TypeError(`Cannot read ${name}: there is no such tensor`);
    const { storageType, shape } = tensor;
    if (!isStorageType(storageType) || shape.length < 1 || shape.length > 2) {
      throw new TypeError(`Cannot read ${name} as weights: it is ${storageType} [${shape.join(", ")}]`);
    }
    const rows = shape.length === 1 ? 1 : shape[0], cols = shape[shape.length - 1], bytesPerRow = rowBytes(storageType, cols), length = rowCount * bytesPerRow;
    if (firstRow < 0 || rowCount < 0 || firstRow + rowCount > rows) {
      throw new RangeError(`Cannot read rows ${firstRow} to ${firstRow + rowCount} of ${name}: it has ${rows}`);
    }
    if (into !== undefined && into.length < length) {
      throw new RangeError(`Cannot read ${rowCount} rows of ${name} into ${into.length} bytes: they take ${length}`);
    }
    const bytes = into?.subarray(0, length) ?? new Uint8Array(length), { interleavedHeadRows } = tensor;
    if (tensor.assemble) tensor.assemble(firstRow, bytes);
    else if (interleavedHeadRows === undefined) await tensor.file.readAside(tensor.offsetBytes + firstRow * bytesPerRow, bytes);
    else if (shape.length === 2) await this.#readHeads(tensor, interleavedHeadRows, bytesPerRow, firstRow, bytes);
    else await this.#readHeads(tensor, interleavedHeadRows, rowBytes(storageType, 1), 0, bytes);
    return bytes;
  }

  close(): void {
    for (const file of this.#files) file.close();
  }

  /** Row `half * s + i` of a head comes from row `2 * i + s`: w.reshape(heads, half, 2, in).swapaxes(1, 2). */
  async #readHeads(tensor: StoredTensor, headRows: number, bytesPerRow: number, firstRow: number, out: Uint8Array): Promise<void> {
    const half = headRows / 2, end = firstRow + out.length / bytesPerRow, start = firstRow - firstRow % headRows;
    const length = (Math.ceil(end / headRows) * headRows - start) * bytesPerRow, heads = atLeast(this.#heads.pop(), length);
    await tensor.file.readAside(tensor.offsetBytes + start * bytesPerRow, heads.subarray(0, length));
    for (let row = firstRow; row < end; row++) {
      const inHead = row % headRows, from = (row - start - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1)) * bytesPerRow;
      out.set(heads.subarray(from, from + bytesPerRow), (row - firstRow) * bytesPerRow);
    }
    this.#heads.push(heads);
  }
}

/** The memory, or new memory where it is too small. */
export function atLeast(memory: Uint8Array<ArrayBuffer> | undefined, length: number): Uint8Array<ArrayBuffer> {
  return memory !== undefined && memory.length >= length ? memory : new Uint8Array(length);
}
