/**
 * Rows of a tensor that bitsandbytes packed into 4 bits, put together from the tensors that it left.
 *
 * @module
 */
import { type FourBitCode, type FourBitFormat, storageTypes } from "../formats.ts";
import { fourBitCodes } from "./four_bit_codes.ts";
import { type StoredTensor, tensorBytes } from "./tensor_store.ts";

/** How absmax itself is quantized. */
export interface NestedState {
  /** `[ceil(blocks / blockSize)]` f32. */
  readonly absmax: StoredTensor;
  /** `[256]` f32: number of each code of 8 bits. */
  readonly map: StoredTensor;
  readonly blockSize: number;
  /** Added to each number. */
  readonly offset: number;
}

/** A packed tensor. */
export interface FourBitTensor {
  readonly code: FourBitCode;
  /** `[out, in]` of the weight. */
  readonly shape: readonly [number, number];
  /** Type that the weights had. */
  readonly type: "f32" | "bf16" | "f16";
  /** Values that share an absmax, row after row: a block may run over the end of a row. */
  readonly blockSize: number;
  /** Two values a byte, the first one high. */
  readonly packed: StoredTensor;
  /** `[blocks]`: f32, or codes of 8 bits where it is nested. */
  readonly absmax: StoredTensor;
  readonly nested: NestedState | null;
}

/**
 * The weight as a tensor whose rows are whole blocks, or, where its blocks run over the ends of rows or are shorter than those of
 * `engine/formats.ts`, as exact numbers of the type that it had.
 */
export function fourBitTensor(tensor: FourBitTensor): StoredTensor {
  const { code, type, shape, blockSize } = tensor, format: FourBitFormat = type === "f32" ? code : `${code}_${type}`, [blockValues] = storageTypes[format];
  const isWhole = shape[1] % blockValues === 0 && blockSize % blockValues === 0, storageType = isWhole ? format : type;
  const assemble = isWhole
    ? (firstRow: number, rows: Uint8Array<ArrayBuffer>) => assembleBlocks(tensor, firstRow * shape[1], rows)
    : (firstRow: number, rows: Uint8Array<ArrayBuffer>) => expand(tensor, firstRow * shape[1], rows);
  return { ...tensor.packed, storageType, shape, byteLength: tensorBytes(storageType, shape), assemble };
}

/** Blocks of 64 values from value `first` on: absmax, then the bytes as they are. */
function assembleBlocks(tensor: FourBitTensor, first: number, rows: Uint8Array<ArrayBuffer>): void {
  const [blockValues, blockBytes] = storageTypes.nf4, count = rows.length / blockBytes, packed = new Uint32Array(count * blockValues / 8);
  read(tensor.packed, first / 2, packed);
  const out = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4), scales = new Float32Array(rows.buffer, rows.byteOffset, rows.length / 4);
  const { blockSize } = tensor, firstBlock = Math.floor(first / blockSize), absmax = readAbsmax(tensor, firstBlock, first + count * blockValues);
  for (let block = 0, from = 0, to = 0; block < count; block++) {
    scales[to++] = absmax[Math.floor((first + block * blockValues) / blockSize) - firstBlock];
    for (const end = from + blockValues / 8; from < end;) out[to++] = packed[from++];
  }
}

/** Values from value `first` on, in the type that they had. */
function expand(tensor: FourBitTensor, first: number, rows: Uint8Array<ArrayBuffer>): void {
  const { type, blockSize } = tensor, Bits = type === "f32" ? Uint32Array : Uint16Array;
  const out = new Bits(rows.buffer, rows.byteOffset, rows.length / Bits.BYTES_PER_ELEMENT), end = first + out.length;
  const firstByte = Math.floor(first / 2), packed = new Uint8Array(Math.ceil(end / 2) - firstByte);
  read(tensor.packed, firstByte, packed);
  const firstBlock = Math.floor(first / blockSize), absmax = readAbsmax(tensor, firstBlock, end);
  for (let block = 0; block < absmax.length; block++) {
    const numbers = bitsOf(fourBitCodes[tensor.code].map((number) => number * absmax[block]), type), start = (firstBlock + block) * blockSize;
    for (let at = Math.max(first, start); at < Math.min(end, start + blockSize); at++) {
      const byte = packed[Math.floor(at / 2) - firstByte];
      out[at - first] = numbers[at % 2 === 0 ? byte >> 4 : byte & 15];
    }
  }
}

/** The nearest numbers of a type, ties to even, as bits. */
function bitsOf(values: Float32Array, type: FourBitTensor["type"]): Uint16Array | Uint32Array {
  if (type === "f16") return new Uint16Array(Float16Array.from(values).buffer);
  const bits = new Uint32Array(values.buffer);
  return type === "f32" ? bits : Uint16Array.from(bits, (bits) => bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
}

/** absmax of the blocks from `firstBlock` to the one before value `end`, each operation rounded to f32 as bitsandbytes does. */
function readAbsmax({ absmax, nested, blockSize }: FourBitTensor, firstBlock: number, end: number): Float32Array {
  const count = Math.ceil(end / blockSize) - firstBlock;
  if (nested === null) return read(absmax, firstBlock * 4, new Float32Array(count));
  const codes = read(absmax, firstBlock, new Uint8Array(count)), map = read(nested.map, 0, new Float32Array(256));
  const firstScale = Math.floor(firstBlock / nested.blockSize), scaleCount = Math.ceil((firstBlock + count) / nested.blockSize) - firstScale;
  const scales = read(nested.absmax, firstScale * 4, new Float32Array(scaleCount));
  return Float32Array.from(codes, (code, i) => Math.fround(map[code] * scales[Math.floor((firstBlock + i) / nested.blockSize) - firstScale]) + nested.offset);
}

function read<T extends Uint8Array | Uint32Array | Float32Array>({ file, offsetBytes }: StoredTensor, from: number, into: T): T {
  file.read(offsetBytes + from, new Uint8Array(into.buffer, into.byteOffset, into.byteLength));
  return into;
}
