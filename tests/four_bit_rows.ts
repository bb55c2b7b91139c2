/**
 * Blocks of `engine/formats.ts` from a golden of bitsandbytes, by plain loops.
 *
 * @module
 */

/** What `quantize_4bit` leaves, in base64. */
export interface FourBitGolden {
  readonly shape: readonly number[];
  readonly blocksize: number;
  readonly double_quant: boolean;
  readonly packed: string;
  readonly absmax: string;
  readonly nested_absmax?: string;
  readonly nested_quant_map?: string;
  readonly nested_offset?: number;
}

/** absmax of each block, unquantized. */
export function absmaxOf(golden: FourBitGolden): Float32Array {
  const bytes = Uint8Array.fromBase64(golden.absmax), floats = (text: string) => new Float32Array(Uint8Array.fromBase64(text).buffer);
  if (!golden.double_quant) return new Float32Array(bytes.buffer);
  const map = floats(golden.nested_quant_map!), nested = floats(golden.nested_absmax!);
  return Float32Array.from(bytes, (code, i) => Math.fround(map[code] * nested[Math.floor(i / 256)]) + golden.nested_offset!);
}

/** Rows of blocks of 64. */
export function fourBitRows(golden: FourBitGolden): Uint8Array<ArrayBuffer> {
  const packed = Uint8Array.fromBase64(golden.packed), absmax = absmaxOf(golden), out = new Uint8Array(packed.length / 32 * 36);
  const view = new DataView(out.buffer);
  for (let block = 0; block * 32 < packed.length; block++) {
    view.setFloat32(block * 36, absmax[Math.floor(block * 64 / golden.blocksize)], true);
    out.set(packed.subarray(block * 32, block * 32 + 32), block * 36 + 4);
  }
  return out;
}
