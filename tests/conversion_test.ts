import { nativeFormat } from "../engine/conversion.ts";
import { type Format, type FourBitFormat, type StorageType, storageTypes } from "../engine/formats.ts";
import { loadHost } from "../wasm/host.ts";
import { assert, assertEquals } from "@std/assert";
import { random } from "./random_model.ts";
import dequantized from "./fixtures/gguf/dequantize.json" with { type: "json" };

const { codec } = await loadHost();
const fourBit: FourBitFormat[] = ["nf4", "nf4_bf16", "nf4_f16", "fp4", "fp4_bf16", "fp4_f16"];
const formats: Format[] = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q4_k", "q5_k", "q6_k", ...fourBit];
/** Random bytes make scales that no weights have. */
const plausible: Partial<Record<StorageType, (block: Uint8Array) => void>> = {
  mxfp4: (block) => block[0] = 112 + block[0] % 16,
  // Values around zero, so that scale and minimum cancel as they do in weights: dmin = 7.5 d, minimums = factors.
  q4_k(block) {
    block.set([0x66, 0x2a, 0xff, 0x35]);
    for (let i = 0; i < 4; i++) {
      block[8 + i] = block[4 + i];
      block[12 + i] = (block[12 + i] & 15) * 17;
    }
  },
};
const blocks = Object.entries(dequantized).map(([name, golden]) => {
  const from = name.toLowerCase() as StorageType, bytes = Uint8Array.fromBase64(golden.bytes_base64);
  for (let at = 0; at < bytes.length; at += storageTypes[from][1]) plausible[from]?.(bytes.subarray(at, at + storageTypes[from][1]));
  return { from, bytes };
});
const next = random(3), plain = Float32Array.from({ length: 4096 }, () => (next() + next() + next() - 1.5) / 20);
for (const from of fourBit) blocks.push({ from, bytes: codec.convert(new Uint8Array(plain.buffer), "f32", from, 64) });

/** Every format that can come out for a type: what is chosen from all, then from all but that, and so on. */
function choices(from: StorageType): Format[] {
  const native = new Set(formats), chosen: Format[] = [];
  for (let format = nativeFormat(from, native); chosen.at(-1) !== "f32"; format = nativeFormat(from, native)) {
    chosen.push(format);
    native.delete(format);
  }
  return chosen;
}

/** Relative error of the values after a conversion. */
function relativeError(bytes: Uint8Array, from: StorageType, to: Format): number {
  const cols = storageTypes[from][0];
  const values = new Float32Array(codec.convert(bytes, from, "f32", cols).buffer);
  const converted = new Float32Array(codec.convert(codec.convert(bytes, from, to, cols), to, "f32", cols).buffer);
  let error = 0, norm = 0;
  values.forEach((value, i) => {
    error += (value - converted[i]) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(error / norm);
}

const exact: Record<string, Format[]> = {
  q4_0: ["q8_0"],
  q5_0: ["q8_0"],
  q3_k: ["q6_k"],
  iq3_xxs: ["q6_k"],
  iq3_s: ["q6_k"],
  iq1_s: ["q6_k"],
  iq1_m: ["q6_k"],
  iq4_nl: ["q8_0"],
  tq1_0: ["q4_0", "q8_0", "f16"],
  tq2_0: ["q4_0", "q8_0", "f16"],
  mxfp4: ["q8_0", "bf16", "f16"],
  nvfp4: ["bf16", "f16"],
  nf4_bf16: ["bf16"],
  nf4_f16: ["f16"],
  fp4_bf16: ["bf16"],
  fp4_f16: ["f16"],
};

for (const { from, bytes } of blocks) {
  Deno.test(`${from} loses nothing in ${choices(from).join(", ")}`, () => {
    for (const to of choices(from)) {
      const error = relativeError(bytes, from, to);
      const bound = from === "q4_k" && to === "q4_1" ? 1e-3 : 2 ** -11;
      assert(error < bound, `${from} to ${to}: ${error}`);
      if (to === from || to === "f32" || exact[from]?.includes(to)) assertEquals(error, 0, `${from} to ${to}`);
    }
  });
}

Deno.test("A type that is native stays as it is, and f32 is always there", () => {
  for (const format of formats) assertEquals(nativeFormat(format, new Set(formats)), format);
  for (const from of Object.keys(storageTypes) as StorageType[]) {
    assertEquals(nativeFormat(from, new Set(["f32"])), "f32");
    assert(nativeFormat(from, new Set(formats)) !== "f32" || from === "f32");
  }
});
