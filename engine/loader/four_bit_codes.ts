/**
 * The numbers that bitsandbytes' codes stand for. Source: `get_4bit_type` and `create_dynamic_map` of its functional.py.
 *
 * @module
 */
import type { FourBitCode } from "../formats.ts";

/** Number of each index of 4 bits. */
export const fourBitCodes: Readonly<Record<FourBitCode, Float32Array>> = {
  // The quantiles of a normal distribution, in f32.
  nf4: Float32Array.of(
    ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0],
    ...[0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1],
  ),
  // A sign and three bits; twelfths.
  fp4: Float32Array.from([0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3], (value) => value / 12),
};

/**
 * The 256 numbers of 8 bits that absmax itself is quantized to, ascending: `2^i` steps from a tenth of `10^(i - 6)` up to it, for `i` of 0..6, of either
 * sign, with 0 and 1.
 */
export function dynamicMap(): Float32Array {
  const { fround } = Math, map = [0, 1];
  for (let i = 0; i < 7; i++) {
    // torch.linspace in f32: from either end to the middle, product and sum rounded together.
    const steps = 2 ** i, first = fround(0.1), step = fround(fround(1 - first) / steps), power = fround(10 ** (i - 6));
    const bound = (k: number) => fround(2 * k <= steps ? first + step * k : 1 - step * (steps - k));
    for (let k = 0; k < steps; k++) {
      const value = fround(power * fround(fround(bound(k) + bound(k + 1)) / 2));
      map.push(value, -value);
    }
  }
  return Float32Array.from(map).sort();
}
