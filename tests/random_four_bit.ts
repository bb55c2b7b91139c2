/**
 * Random blocks of bitsandbytes' types, and the values they stand for.
 *
 * @module
 */
import type { FourBitFormat } from "../engine/formats.ts";

/** The numbers of nf4 and fp4 as `get_4bit_type` of bitsandbytes has them. */
const nf4 = [-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0]
  .concat([0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1]);
const fp4 = [0, 0.0625 / 12, 8 / 12, 1, 4 / 12, 6 / 12, 2 / 12, 3 / 12, 0, -0.0625 / 12, -8 / 12, -1, -4 / 12, -6 / 12, -2 / 12, -3 / 12];

/** Rounds to bf16, ties to even. */
export function bf16round(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = (bits[0] + 0x7fff + (bits[0] >>> 16 & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0];
}

/** Fills a block of 64 values with random codes. */
export function fourBitBlock(format: FourBitFormat, view: DataView, at: number, next: () => number, size: number, out: Float32Array): void {
  const absmax = Math.fround(size * (0.25 + next() / 4)), table = format.startsWith("nf4") ? nf4 : fp4;
  const round = format.endsWith("bf16") ? bf16round : format.endsWith("_f16") ? Math.f16round : Math.fround;
  view.setFloat32(at, absmax, true);
  for (let i = 0; i < 32; i++) {
    const byte = Math.floor(next() * 256);
    view.setUint8(at + 4 + i, byte);
    out[2 * i] = round(Math.fround(Math.fround(table[byte >> 4]) * absmax));
    out[2 * i + 1] = round(Math.fround(Math.fround(table[byte & 15]) * absmax));
  }
}
