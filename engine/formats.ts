/**
 * Names and block sizes of every way a weight can be stored.
 *
 * A *storage type* is what a file holds; a *format* is what a backend multiplies with. Every format is also a storage type with the
 * same bytes, so a weight whose storage type is native travels from the file to the backend untouched.
 * Source of sizes: ggml-common.h and docs/gguf.md of ggml; bitsandbytes' functional.py for nf4.
 *
 * @module
 */

/** `[values per block, bytes per block]` of each storage type; names are those of GGML in lower case, and of bitsandbytes. */
export const storageTypes = {
  f32: [1, 4],
  f16: [1, 2],
  bf16: [1, 2],
  q4_0: [32, 18],
  q4_1: [32, 20],
  q5_0: [32, 22],
  q5_1: [32, 24],
  q8_0: [32, 34],
  q2_k: [256, 84],
  q3_k: [256, 110],
  q4_k: [256, 144],
  q5_k: [256, 176],
  q6_k: [256, 210],
  iq2_xxs: [256, 66],
  iq2_xs: [256, 74],
  iq3_xxs: [256, 98],
  iq1_s: [256, 50],
  iq4_nl: [32, 18],
  iq3_s: [256, 110],
  iq2_s: [256, 82],
  iq4_xs: [256, 136],
  iq1_m: [256, 56],
  tq1_0: [256, 54],
  tq2_0: [256, 66],
  mxfp4: [32, 17],
  nvfp4: [64, 36],
  // bitsandbytes: f32 absmax, then 32 bytes whose high nibbles come first; a value is a number of the code times absmax, rounded to f32 and, where
  // the name ends with one, to the type that the weights had before.
  nf4: [64, 36],
  nf4_bf16: [64, 36],
  nf4_f16: [64, 36],
  fp4: [64, 36],
  fp4_bf16: [64, 36],
  fp4_f16: [64, 36],
} as const;

/** How the numbers of a tensor are stored in a file. */
export type StorageType = keyof typeof storageTypes;

/** Codes of bitsandbytes: 16 numbers of normal distribution, or a sign and three bits. */
export type FourBitCode = "nf4" | "fp4";
/** A storage type of bitsandbytes. */
export type FourBitFormat = FourBitCode | `${FourBitCode}_${"bf16" | "f16"}`;

/** A storage type that some backend multiplies with as it is. */
export type Format = "f32" | "f16" | "bf16" | "q8_0" | "q4_0" | "q4_1" | "q4_k" | "q5_k" | "q6_k" | FourBitFormat;

/** @returns Whether a type is one of bitsandbytes. */
export function isFourBit(type: StorageType): type is FourBitFormat {
  return /^(nf|fp)4/.test(type);
}

/**
 * Bytes of one row of `cols` values.
 *
 * @throws {RangeError} when `cols` is not a whole number of blocks.
 */
export function rowBytes(type: StorageType, cols: number): number {
  const [values, bytes] = storageTypes[type];
  if (cols % values !== 0) {
    throw new RangeError(`Cannot store a row of ${cols} values as ${type}: its blocks hold ${values} values`);
  }
  return cols / values * bytes;
}
