/**
 * Random super-blocks of the K formats, and the values they stand for by the formulas of ggml-quants.c (dequantize_row_q4_K and its siblings).
 *
 * @module
 */

/** Fills a super-block of 256 values at `at` but for its f16 scales, which are given. Writes its values to `out`. */
type KBlock = (view: DataView, at: number, next: () => number, scale: (offset: number, most: number) => number, size: number, out: Float32Array) => void;

const fill = (view: DataView, at: number, count: number, next: () => number) => {
  for (let i = 0; i < count; i++) view.setUint8(at + i, Math.floor(next() * 256));
};

/** Scale and minimum of block `b` among the 12 bytes at `at`. */
function scaleAndMinimum(view: DataView, at: number, b: number): [number, number] {
  const byte = (i: number) => view.getUint8(at + i);
  if (b < 4) return [byte(b) & 63, byte(b + 4) & 63];
  return [byte(b + 4) & 15 | byte(b - 4) >> 6 << 4, byte(b + 4) >> 4 | byte(b) >> 6 << 4];
}

const withMinimums = (highBits: boolean): KBlock => (view, at, next, scale, size, out) => {
  const most = highBits ? 31 : 15, nibbles = at + (highBits ? 48 : 16);
  const d = scale(0, size / 2 / 63 / most), dmin = scale(2, size / 4 / 63);
  fill(view, at + 4, nibbles + 128 - at - 4, next);
  for (let i = 0; i < 256; i++) {
    const block = i >> 5, [s, m] = scaleAndMinimum(view, at + 4, block), nibble = view.getUint8(nibbles + (block >> 1) * 32 + i % 32) >> 4 * (block & 1) & 15;
    const high = highBits ? view.getUint8(at + 16 + i % 32) >> block & 1 : 0;
    out[i] = d * s * (nibble | high << 4) - dmin * m;
  }
};

/** By format. */
export const kBlocks: Readonly<Record<"q4_k" | "q5_k" | "q6_k", KBlock>> = {
  q4_k: withMinimums(false),
  q5_k: withMinimums(true),
  q6_k(view, at, next, scale, size, out) {
    fill(view, at, 208, next);
    const d = scale(208, size / 2 / 128 / 32);
    for (let i = 0; i < 256; i++) {
      const half = i >> 7, r = i >> 5 & 3, l = i & 31;
      const low = view.getUint8(at + 64 * half + 32 * (r & 1) + l) >> 4 * (r >> 1) & 15, high = view.getUint8(at + 128 + 32 * half + l) >> 2 * r & 3;
      out[i] = d * view.getInt8(at + 192 + (i >> 4)) * ((low | high << 4) - 32);
    }
  },
};
