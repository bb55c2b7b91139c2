/**
 * What a stored type becomes on a backend that does not multiply with it: never anything that shows.
 *
 * @module
 */
import type { Format, StorageType } from "./formats.ts";

/**
 * For each storage type the formats that hold its values, cheapest first; float32, which holds them all exactly, ends every list unsaid.
 *
 * In brackets the relative error `|converted - values| / |values|` (root of the sums of squares) measured over random blocks. f16 rounds single
 * values: 2e-4, bound 2^-11 = 4.9e-4. "Same numbers": the format takes over the whole numbers, and the block's scale times its factors, rounded
 * to f16. Quantizing anew is not in the table: q6_k to q8_0 would cost 4.5e-3, q2_k to q8_0 3.5e-3.
 */
const table: Readonly<Record<StorageType, readonly Format[]>> = {
  f32: [],
  f16: ["f16"],
  bf16: ["bf16"], // not f16: its range is smaller
  q4_0: ["q4_0", "q8_0", "f16"], // q8_0 exact, f16 1.5e-4
  q4_1: ["q4_1", "f16"], // f16 2.3e-4
  q5_0: ["q8_0", "f16"], // q8_0 exact, f16 2.0e-4
  q5_1: ["f16"], // f16 1.7e-4
  q8_0: ["q8_0", "f16"], // f16 2.6e-4
  q2_k: ["f16"], // f16 2.1e-4
  q3_k: ["q6_k", "f16"], // q6_k exact, f16 1.6e-4
  q4_k: ["q4_k", "q4_1", "f16"], // q4_1 same numbers: 6.6e-4, the only one above f16 (2.1e-4), for a third of its bytes; q4_k itself is off by 7e-2
  q5_k: ["q5_k", "f16"], // f16 1.9e-4
  q6_k: ["q6_k", "f16"], // f16 2.0e-4
  iq2_xxs: ["q8_0", "f16"], // q8_0 same numbers 2.2e-4, f16 1.8e-4
  iq2_xs: ["f16"], // f16 2.5e-4
  iq3_xxs: ["q6_k", "q8_0", "f16"], // q6_k exact, q8_0 same numbers 1.7e-4, f16 2.0e-4
  iq1_s: ["q6_k", "q8_0", "f16"], // q6_k exact, q8_0 same numbers 2.5e-4, f16 1.2e-4
  iq4_nl: ["q8_0", "f16"], // q8_0 exact, f16 2.2e-4
  iq3_s: ["q6_k", "q8_0", "f16"], // q6_k exact, q8_0 same numbers 1.8e-4, f16 1.6e-4
  iq2_s: ["f16"], // f16 2.1e-4
  iq4_xs: ["q8_0", "f16"], // q8_0 same numbers 1.0e-4, f16 1.7e-4
  iq1_m: ["q6_k", "f16"], // q6_k exact, f16 1.7e-4
  tq1_0: ["q4_0", "q8_0", "f16"], // all exact
  tq2_0: ["q4_0", "q8_0", "f16"], // all exact
  mxfp4: ["q8_0", "bf16", "f16"], // all exact; q8_0 and f16 for scales from 2^-24 up, below which no weight lies
  nvfp4: ["bf16", "f16"], // both exact
  nf4: ["nf4", "f16"], // f16 2.1e-4
  nf4_bf16: ["nf4_bf16", "bf16"], // exact
  nf4_f16: ["nf4_f16", "f16"], // exact
  fp4: ["fp4", "f16"], // f16 2.1e-4
  fp4_bf16: ["fp4_bf16", "bf16"], // exact
  fp4_f16: ["fp4_f16", "f16"], // exact
};

/**
 * The cheapest format of a backend that holds the values of a storage type: exactly, or off by about as much as f16 rounds.
 *
 * @param from How the file stores the tensor.
 * @param native Formats that the backend multiplies with; f32 is taken to be one of them.
 */
export function nativeFormat(from: StorageType, native: ReadonlySet<Format>): Format {
  return table[from].find((format) => native.has(format)) ?? "f32";
}
