import { type Format, rowBytes, type StorageType, storageTypes } from "../engine/formats.ts";
import { loadHost } from "../wasm/host.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import dequantized from "./fixtures/gguf/dequantize.json" with { type: "json" };
import quantized from "./fixtures/gguf/quantize.json" with { type: "json" };

const { codec } = await loadHost();
const bytesOf = (text: string) => Uint8Array.fromBase64(text);
const floats = (bytes: Uint8Array<ArrayBuffer>) => new Float32Array(bytes.buffer);
const goldens = Object.entries(dequantized).map(([name, golden]) => ({ type: name.toLowerCase() as StorageType, ...golden }));
const types = Object.keys(storageTypes) as StorageType[];

Deno.test("Every quantized type becomes the float32 values of GGML, bit for bit", () => {
  assertEquals(goldens.length, 23);
  for (const { type, bytes_base64, values } of goldens) {
    const got = floats(codec.convert(bytesOf(bytes_base64), type, "f32", storageTypes[type][0]));
    assertEquals(got, Float32Array.from(values as number[]), type);
  }
});

Deno.test("Plain numbers become float32 exactly, special ones included", () => {
  const halves = new Uint16Array([0x3c00, 0x8001, 0x7bff, 0xfc00, 0x7e00, 0x0000]);
  assertEquals(floats(codec.convert(new Uint8Array(halves.buffer), "f16", "f32", 3)), new Float32Array([1, -(2 ** -24), 65504, -Infinity, NaN, 0]));
  const brains = new Uint16Array([0x3f80, 0xc049, 0x0001, 0x7f80]);
  assertEquals(floats(codec.convert(new Uint8Array(brains.buffer), "bf16", "f32", 4)), new Float32Array([1, -3.140625, 2 ** -133, Infinity]));
});

for (const to of ["f16", "bf16", "q8_0", "q4_0", "q4_1"] as const) {
  Deno.test(`float32 becomes ${to} byte for byte as in gguf-py`, () => {
    assertEquals(codec.convert(bytesOf(quantized.f32), "f32", to, quantized.cols), bytesOf(quantized[to]));
  });
}

Deno.test("A quantized type quantizes like the float32 values it stands for", () => {
  for (const { type, bytes_base64 } of goldens) {
    const cols = storageTypes[type][0], plain = codec.convert(bytesOf(bytes_base64), type, "f32", cols);
    for (const to of ["f16", "bf16", "q4_1"] as const) {
      if (to === "q4_1" && (type === "q4_1" || type === "q4_k")) continue; // these move over as they are
      assertEquals(codec.convert(bytesOf(bytes_base64), type, to, cols), codec.convert(plain, "f32", to, cols), `${type} to ${to}`);
    }
  }
});

Deno.test("Rows of every length come out, also those that span several pieces", () => {
  for (const [rows, cols] of [[1, 32], [3, 96], [5, 16384], [3, 65536 + 32]]) {
    const source = Float32Array.from({ length: rows * cols }, (_, i) => Math.fround(Math.sin(i * 12.9898) * 3));
    const brains = codec.convert(new Uint8Array(source.buffer), "f32", "bf16", cols);
    const rounded = codec.convert(brains, "bf16", "f32", cols);
    for (const to of ["q8_0", "q4_0", "f16"] as const) {
      const whole = codec.convert(brains, "bf16", to, cols);
      assertEquals(whole.length, rows * rowBytes(to, cols));
      assertEquals(whole, codec.convert(rounded, "f32", to, cols));
      const last = codec.convert(rounded.slice((rows - 1) * cols * 4), "f32", to, cols);
      assertEquals(whole.slice((rows - 1) * rowBytes(to, cols)), last);
    }
  }
  assertEquals(codec.convert(new Uint8Array(0), "bf16", "q8_0", 64).length, 0);
});

Deno.test("The same type is copied", () => {
  for (const { type, bytes_base64 } of goldens) {
    const bytes = bytesOf(bytes_base64), copy = codec.convert(bytes, type, type as Format, storageTypes[type][0]);
    assertEquals(copy, bytes);
    assert(copy.buffer !== bytes.buffer);
  }
});

Deno.test("What is not a whole row, and what nothing can make, is a RangeError", () => {
  assertThrows(() => codec.convert(new Uint8Array(17), "q4_0", "f32", 32), RangeError, "17 bytes are not a whole number of rows of 18 bytes");
  assertThrows(() => codec.convert(new Uint8Array(18), "q4_0", "f32", 33), RangeError, "33 values");
  assertThrows(() => codec.convert(new Uint8Array(128), "f32", "q8_0", 16), RangeError, "16 values");
  assertThrows(() => codec.convert(new Uint8Array(4), "f32", "f32", 0), RangeError, "0 values");
  assertThrows(() => codec.convert(new Uint8Array(1024), "f32", "q4_k", 256), RangeError, "Cannot convert f32 to q4_k: there is no quantizer for q4_k");
});

Deno.test("findNonFinite names the first value, or the first value of the block, that is not finite", () => {
  const values = new Float32Array(200_000).fill(1);
  const bytes = new Uint8Array(values.buffer);
  assertEquals(codec.findNonFinite(bytes, "f32", 100_000), -1);
  values[131_073] = -Infinity;
  assertEquals(codec.findNonFinite(bytes, "f32", 100_000), 131_073);
  for (const type of types.filter((type) => !["f32", "f16", "bf16", "nvfp4"].includes(type))) {
    const rows = new Uint8Array(3 * storageTypes[type][1]);
    assertEquals(codec.findNonFinite(rows, type, storageTypes[type][0]), -1, type);
    rows.fill(0xff, 2 * storageTypes[type][1]);
    assertEquals(codec.findNonFinite(rows, type, storageTypes[type][0]), 2 * storageTypes[type][0], type);
  }
});
