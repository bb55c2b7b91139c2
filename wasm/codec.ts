/**
 * Storage conversion in the host module.
 *
 * @module
 */
import { type Format, rowBytes, type StorageType, storageTypes } from "../engine/formats.ts";
import type { Codec } from "../engine/host.ts";
import { Converter, type InitOutput } from "./generated/host_bindgen.gen.js";

/** Values converted at a time: a multiple of every block, and both sides of a piece stay in the cache. */
const PIECE_VALUES = 1 << 16;

/** {@link Codec} over an instance of the host module. Converts piece by piece, so that the module's memory stays small. */
export class WasmCodec implements Codec {
  #memory: WebAssembly.Memory;
  #converter = new Converter();

  /** @param wasm Exports of the instantiated module. */
  constructor(wasm: InitOutput) {
    this.#memory = wasm.memory;
  }

  convert(bytes: Uint8Array, from: StorageType, to: Format, cols: number): Uint8Array<ArrayBuffer> {
    const values = valuesOf(bytes, from, cols), out = new Uint8Array(values / cols * rowBytes(to, cols) || 0);
    const pieceBytes = rowBytes(from, PIECE_VALUES), outBytes = rowBytes(to, PIECE_VALUES);
    for (let piece = 0; piece * pieceBytes < bytes.length; piece++) {
      const input = this.#write(bytes.subarray(piece * pieceBytes, (piece + 1) * pieceBytes));
      const address = this.#converter.convert(from, to);
      if (address === 0) throw new RangeError(`Cannot convert ${from} to ${to}: there is no quantizer for ${to}`);
      const length = input / storageTypes[from][1] * storageTypes[from][0] / storageTypes[to][0] * storageTypes[to][1];
      out.set(new Uint8Array(this.#memory.buffer, address, length), piece * outBytes);
    }
    return out;
  }

  findNonFinite(bytes: Uint8Array, from: StorageType, cols: number): number {
    valuesOf(bytes, from, cols);
    const pieceBytes = rowBytes(from, PIECE_VALUES);
    for (let piece = 0; piece * pieceBytes < bytes.length; piece++) {
      this.#write(bytes.subarray(piece * pieceBytes, (piece + 1) * pieceBytes));
      const found = this.#converter.findNonFinite(from);
      if (found >= 0) return piece * PIECE_VALUES + found;
    }
    return -1;
  }

  /** Puts a piece into the module's memory; returns its length. */
  #write(piece: Uint8Array): number {
    const address = this.#converter.input(piece.length);
    new Uint8Array(this.#memory.buffer, address, piece.length).set(piece);
    return piece.length;
  }
}

/** Number of values in whole rows. */
function valuesOf(bytes: Uint8Array, from: StorageType, cols: number): number {
  const size = rowBytes(from, cols);
  if (!(cols > 0) || bytes.length % size !== 0) {
    throw new RangeError(`Cannot read ${from} rows of ${cols} values: ${bytes.length} bytes are not a whole number of rows of ${size} bytes`);
  }
  return bytes.length / size * cols;
}
