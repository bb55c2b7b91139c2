/**
 * The 4-bit types of bitsandbytes against its own bytes.
 */
import type { FourBitFormat, StorageType } from "../engine/formats.ts";
import { loadHost } from "../wasm/host.ts";
import { assertEquals } from "@std/assert";
import golden from "./fixtures/bitsandbytes/golden.json" with { type: "json" };
import { fourBitRows } from "./four_bit_rows.ts";

const { codec } = await loadHost();
const suffixes = { float32: "", bfloat16: "_bf16", float16: "_f16" }, plain = { float32: "f32", bfloat16: "bf16", float16: "f16" } as const;
const bytesOf = (text: string) => Uint8Array.fromBase64(text);

for (const block of golden.blocks) {
  const dtype = block.dtype as keyof typeof plain, [rows, cols] = block.shape;
  const format = `${block.quant_type}${suffixes[dtype]}` as FourBitFormat;
  const name = `${format} of blocks of ${block.blocksize}${block.double_quant ? ", absmax quantized" : ""}`;
  Deno.test(`bitsandbytes: ${name} become its numbers, bit for bit`, () => {
    const rowsOfBlocks = fourBitRows(block);
    assertEquals(codec.convert(rowsOfBlocks, format, plain[dtype], cols), bytesOf(block.dequantized));
    assertEquals(codec.findNonFinite(rowsOfBlocks, format, cols), -1);
  });
  if (block.blocksize !== 64) continue;
  Deno.test(`bitsandbytes: ${name} are made of the same numbers, byte for byte`, () => {
    const made = codec.convert(bytesOf(block.x), plain[dtype], format, cols), packed = bytesOf(block.packed);
    for (let i = 0; i < rows * cols / 64; i++) assertEquals(made.subarray(i * 36 + 4, i * 36 + 36), packed.subarray(i * 32, i * 32 + 32), `block ${i}`);
    if (!block.double_quant) assertEquals(made, fourBitRows(block));
  });
}

Deno.test("bitsandbytes: numbers of a wider type are rounded to that of the format before anything else", () => {
  const values = Float32Array.from({ length: 256 }, (_, i) => Math.sin(i * 12.9898) * 3), bytes = new Uint8Array(values.buffer);
  for (const [format, narrow] of [["nf4_bf16", "bf16"], ["fp4_f16", "f16"]] as const) {
    assertEquals(codec.convert(bytes, "f32", format, 128), codec.convert(codec.convert(bytes, "f32", narrow, 128), narrow, format, 128));
  }
});

Deno.test("bitsandbytes: a block of zeros stays one, in every type", () => {
  for (const format of ["nf4", "nf4_bf16", "nf4_f16", "fp4", "fp4_bf16", "fp4_f16"] satisfies StorageType[]) {
    const made = codec.convert(new Uint8Array(256), "f32", format, 64);
    assertEquals(new Float32Array(codec.convert(made, format, "f32", 64).buffer), new Float32Array(64));
  }
});
