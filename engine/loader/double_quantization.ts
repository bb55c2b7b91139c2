/**
 * bitsandbytes' double quantization: absmax of blocks of 4 bits is quantized to 8 bits itself.
 *
 * @module
 */
import { storageTypes } from "../formats.ts";
import { dynamicMap } from "./four_bit_codes.ts";

/** Blocks that share a scale. */
const nestedValues = 256;

/**
 * Puts in the place of each absmax what is left of it: `map[code] * scale + offset`, where offset is the mean of all of a tensor, scale the largest distance from
 * it among 256, and code the nearest of {@link dynamicMap}. Source: `quantize_4bit` with compress_statistics in bitsandbytes' functional.py; PyTorch's mean
 * depends on the processor in its last bit, here it is rounded once.
 *
 * @param blocks All rows of a tensor in one of bitsandbytes' types; changed in place. Starts at a multiple of 4 bytes.
 * @returns The same.
 */
export function quantizeAbsmax(blocks: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const { fround, abs } = Math, words = storageTypes.nf4[1] / 4, floats = new Float32Array(blocks.buffer, blocks.byteOffset, blocks.length / 4);
  const count = floats.length / words, map = dynamicMap();
  let sum = 0;
  for (let block = 0; block < count; block++) sum += floats[block * words];
  const offset = fround(sum / count);
  for (let first = 0; first < count; first += nestedValues) {
    const end = Math.min(first + nestedValues, count);
    let scale = 0;
    for (let block = first; block < end; block++) scale = Math.max(scale, abs(fround(floats[block * words] - offset)));
    const times = scale > 0 ? fround(1 / scale) : 0;
    for (let block = first; block < end; block++) {
      const distance = fround(fround(floats[block * words] - offset) * times);
      floats[block * words] = fround(fround(nearest(map, distance) * scale) + offset);
    }
  }
  return blocks;
}

/** The number of an ascending list that is nearest to a value; of two as near the lower one. */
function nearest(list: Float32Array, value: number): number {
  let low = 0, high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value > Math.fround((list[middle] + list[middle + 1]) / 2)) low = middle + 1;
    else high = middle;
  }
  return list[low];
}
