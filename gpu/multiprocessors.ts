/**
 * How many multiprocessors a GPU has, which WebGPU does not tell: the persistent walk needs a workgroup on each.
 *
 * @module
 */

/**
 * Products with the chip GH100, by what drivers call them. The walk was measured on an H100 and an H200 with 132 multiprocessors; the other counts are those of
 * NVIDIA's data sheets. Where a count is wrong, the first token waits in vain for a moment and is made again without the walk. Other chips are left out, whatever
 * their counts: that 16 bytes of one workgroup reach another one whole, which the walk relies on, no standard promises, and where it does not hold tokens would be
 * wrong without anybody noticing.
 */
const products: readonly (readonly [name: RegExp, multiprocessors: number])[] = [
  [/\bMIG\b/, 0], // an instance has a part of them
  [/\bH[18]00 PCIe\b/, 114],
  [/\bH20\b/, 78],
  [/\b(H100|H200|H800|GH200)\b/, 132],
];

/** @returns The number, 0 when it is not known. */
export function multiprocessorsOf(description: string): number {
  return products.find(([name]) => name.test(description))?.[1] ?? 0;
}
