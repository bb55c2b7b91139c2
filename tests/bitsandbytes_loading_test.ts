/**
 * Tensors as bitsandbytes leaves them, in every shape: what they become, and what is refused.
 */
import { assertEquals, assertThrows } from "@std/assert";
import type { StorageType } from "../engine/formats.ts";
import { unpackFourBit } from "../engine/loader/bitsandbytes.ts";
import { MemoryFile } from "../engine/loader/byte_file.ts";
import { quantizeAbsmax } from "../engine/loader/double_quantization.ts";
import { dynamicMap, fourBitCodes } from "../engine/loader/four_bit_codes.ts";
import { type OtherType, type StoredTensor, TensorStore } from "../engine/loader/tensor_store.ts";
import { loadHost } from "../wasm/host.ts";
import golden from "./fixtures/bitsandbytes/golden.json" with { type: "json" };
import { fourBitRows } from "./four_bit_rows.ts";
import { random } from "./random_model.ts";

const { codec } = await loadHost(), name = "model.layers.0.mlp.up_proj.weight", stateName = `${name}.quant_state.bitsandbytes__nf4`;

/** A tensor in memory, behind some other bytes. */
function stored(storageType: StoredTensor["storageType"], shape: readonly number[], bytes: Uint8Array): StoredTensor {
  const file = new Uint8Array(bytes.length + 3);
  file.set(bytes, 3);
  return { storageType, shape, byteLength: bytes.length, file: new MemoryFile("m.safetensors", file), offsetBytes: 3 };
}

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer), float = (values: Float32Array) => stored("f32", [values.length], bytesOf(values));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

interface Packing {
  shape: [number, number];
  blocksize: number;
  dtype: "float32" | "bfloat16" | "float16";
  nestedBlocksize?: number;
  storage?: OtherType | "f32" | "bf16";
}

/** A random packed weight and the numbers it stands for, by plain loops. */
function packed({ shape, blocksize, dtype, nestedBlocksize, storage = "u8" }: Packing) {
  const next = random(shape[0] + shape[1] + blocksize), count = shape[0] * shape[1], blocks = Math.ceil(count / blocksize), { fround } = Math;
  const codes = Uint8Array.from({ length: Math.ceil(count / 2) }, () => Math.floor(next() * 256)), tensors = new Map<string, StoredTensor>();
  let absmax = Float32Array.from({ length: blocks }, () => 0.1 + next());
  const state: Record<string, unknown> = { quant_type: "nf4", blocksize, dtype, shape };
  if (nestedBlocksize) {
    const eight = Uint8Array.from({ length: blocks }, () => Math.floor(next() * 256)), map = Float32Array.from({ length: 256 }, () => next() - 0.5);
    const scales = Float32Array.from({ length: Math.ceil(blocks / nestedBlocksize) }, () => next()), offset = fround(next());
    absmax = Float32Array.from(eight, (code, i) => fround(fround(map[code] * scales[Math.floor(i / nestedBlocksize)]) + offset));
    Object.assign(state, { nested_blocksize: nestedBlocksize, nested_dtype: "float32", nested_offset: offset });
    tensors.set(`${name}.absmax`, stored("u8", [blocks], eight));
    tensors.set(`${name}.nested_absmax`, float(scales));
    tensors.set(`${name}.nested_quant_map`, float(map));
  } else tensors.set(`${name}.absmax`, float(absmax));
  const width = storage === "u8" ? 1 : storage === "f32" ? 4 : 2;
  tensors.set(name, stored(storage, [codes.length / width, 1], codes));
  tensors.set(`${name}.quant_map`, float(fourBitCodes.nf4.slice()));
  tensors.set(stateName, stored("u8", [json(state).length], json(state)));
  tensors.set("model.norm.weight", float(new Float32Array(8)));
  const values = Float32Array.from({ length: count }, (_, i) => {
    const code = i % 2 === 0 ? codes[i >> 1] >> 4 : codes[i >> 1] & 15;
    return fround(fourBitCodes.nf4[code] * absmax[Math.floor(i / blocksize)]);
  });
  const type = dtype === "float32" ? "f32" : dtype === "float16" ? "f16" : "bf16";
  const rounded = codec.convert(codec.convert(bytesOf(values), "f32", type, shape[1]), type, "f32", shape[1]);
  return { tensors, state, values: new Float32Array(rounded.buffer) };
}

const packings: [Packing, string][] = [
  [{ shape: [33, 128], blocksize: 64, dtype: "bfloat16" }, "nf4_bf16"],
  [{ shape: [5, 192], blocksize: 128, dtype: "float16", nestedBlocksize: 256 }, "nf4_f16"],
  [{ shape: [70, 64], blocksize: 4096, dtype: "float32", nestedBlocksize: 4 }, "nf4"],
  [{ shape: [40, 64], blocksize: 64, dtype: "bfloat16", storage: "bf16" }, "nf4_bf16"],
  [{ shape: [40, 64], blocksize: 64, dtype: "bfloat16", storage: "f32" }, "nf4_bf16"],
  [{ shape: [16, 64], blocksize: 32, dtype: "bfloat16" }, "bf16"],
  [{ shape: [37, 96], blocksize: 64, dtype: "bfloat16", nestedBlocksize: 256 }, "bf16"],
  [{ shape: [7, 33], blocksize: 64, dtype: "float16" }, "f16"],
  [{ shape: [65, 31], blocksize: 256, dtype: "float32" }, "f32"],
];
for (const [packing, type] of packings) {
  const { shape: [rows, cols], blocksize, dtype, nestedBlocksize, storage } = packing;
  const how = `${rows} x ${cols} of ${dtype} in blocks of ${blocksize}${nestedBlocksize ? `, nested in ${nestedBlocksize}` : ""}${
    storage ? ` as ${storage}` : ""
  }`;
  Deno.test(`bitsandbytes: ${how} is read as ${type}, whole and row by row`, async () => {
    const { tensors, values } = packed(packing), store = new TensorStore(unpackFourBit(tensors, { code: "nf4" }), []), tensor = store.tensors.get(name)!;
    assertEquals([tensor.storageType as string, tensor.shape, [...store.tensors.keys()]], [type, [rows, cols], ["model.norm.weight", name]]);
    const floats = (bytes: Uint8Array) => new Float32Array(codec.convert(bytes, type as StorageType, "f32", cols).buffer);
    const whole = await store.readRows(name, 0, rows);
    assertEquals(whole.length, tensor.byteLength);
    assertEquals(floats(whole), values);
    for (const [first, count] of [[0, 1], [1, 2], [rows - 1, 1], [2, rows - 2]]) {
      assertEquals(floats(await store.readRows(name, first, count)), values.slice(first * cols, (first + count) * cols), `rows from ${first}`);
    }
  });
}

type Change = (tensors: Map<string, StoredTensor>, state: Record<string, unknown>) => void;
const replaceState = (changes: Record<string, unknown>): Change => (tensors, state) => {
  const bytes = json({ ...state, ...changes });
  tensors.set(stateName, stored("u8", [bytes.length], bytes));
};
const withoutPart = (part: string): Change => (tensors) => void tensors.delete(name + part);
const refusals: [string, Change, ErrorConstructor, string][] = [
  ["no absmax", withoutPart(".absmax"), TypeError, `Cannot load ${name}: ${name}.absmax is missing`],
  ["no code", withoutPart(".quant_map"), TypeError, `Cannot load ${name}: ${name}.quant_map is missing`],
  ["no weight", withoutPart(""), TypeError, `Cannot load ${name}: its state is there, itself it is missing`],
  ["no state", withoutPart(".quant_state.bitsandbytes__nf4"), TypeError, `Cannot load ${name}: there is ${name}.absmax, but neither ${stateName} nor`],
  ["no nested map", withoutPart(".nested_quant_map"), TypeError, `${name}.nested_quant_map is missing`],
  ["short weight", (tensors) => void tensors.set(name, stored("u8", [99, 1], new Uint8Array(99))), TypeError, "[8, 128] in 4 bits are 512 bytes, got 99"],
  ["absmax of f32", (tensors) => void tensors.set(`${name}.absmax`, float(new Float32Array(16))), TypeError, `${name}.absmax must be u8 [16], got f32 [16]`],
  ["too many absmax", (tensors) => void tensors.set(`${name}.absmax`, stored("u8", [17], new Uint8Array(17))), TypeError, "must be u8 [16], got u8 [17]"],
  [
    "another code",
    (tensors) => void tensors.set(`${name}.quant_map`, float(fourBitCodes.fp4.slice())),
    TypeError,
    "quant_map is not that of nf4: number 0 is 0 in place of -1",
  ],
  ["another code in the state", replaceState({ quant_type: "fp4" }), RangeError, 'quant_type must be nf4 as its name says, one of nf4, fp4, got "fp4"'],
  ["odd block size", replaceState({ blocksize: 48 }), RangeError, "blocksize must be one of 32, 64"],
  ["unknown type", replaceState({ dtype: "float8" }), RangeError, 'dtype must be one of float32, bfloat16, float16, got "float8"'],
  ["one dimension", replaceState({ shape: [1024] }), RangeError, "shape must be two sizes, got [1024]"],
  ["nested in f16", replaceState({ nested_dtype: "float16" }), RangeError, 'nested_dtype must be float32, got "float16"'],
  ["no offset", replaceState({ nested_offset: undefined }), TypeError, "the key nested_offset is missing"],
  [
    "state of floats",
    (tensors) => void tensors.set(stateName, float(new Float32Array(9))),
    TypeError,
    `Cannot load ${stateName}: a state is u8 of JSON, got f32 [9]`,
  ],
  ["two states", (tensors) => void tensors.set(stateName.replace("nf4", "fp4"), tensors.get(stateName)!), TypeError, `Cannot load ${name}: it has two states`],
];
for (const [what, change, error, message] of refusals) {
  Deno.test(`bitsandbytes: refused by name: ${what}`, () => {
    const { tensors, state } = packed({ shape: [8, 128], blocksize: 64, dtype: "bfloat16", nestedBlocksize: 256 });
    change(tensors, state);
    assertThrows(() => unpackFourBit(tensors, { code: null }), error, message);
  });
}

Deno.test("bitsandbytes: a code that config.json does not say is refused", () => {
  const { tensors } = packed({ shape: [8, 128], blocksize: 64, dtype: "bfloat16" });
  assertThrows(() => unpackFourBit(tensors, { code: "fp4" }), RangeError, "quant_type must be fp4 as bnb_4bit_quant_type of config.json says, got nf4");
});

Deno.test("bitsandbytes: the numbers of 8 bits are its own, bit for bit", () => {
  for (const { nested_quant_map: map } of golden.blocks) if (map) assertEquals(dynamicMap(), new Float32Array(Uint8Array.fromBase64(map).buffer));
});

for (const block of golden.blocks.filter(({ double_quant: double, blocksize }) => double && blocksize === 64)) {
  Deno.test(`bitsandbytes: absmax of ${block.quant_type}, ${block.dtype}, is quantized as it does, byte for byte`, () => {
    const types = { float32: ["f32", ""], bfloat16: ["bf16", "_bf16"], float16: ["f16", "_f16"] } as const,
      [type, suffix] = types[block.dtype as keyof typeof types];
    const format = `${block.quant_type as "nf4" | "fp4"}${suffix}` as const, rows = codec.convert(Uint8Array.fromBase64(block.x), type, format, block.shape[1]);
    assertEquals(quantizeAbsmax(rows), fourBitRows(block));
  });
}

Deno.test("bitsandbytes: absmax that are all the same stay as they are", () => {
  const rows = codec.convert(bytesOf(new Float32Array(640).fill(0.3)), "f32", "nf4", 64);
  assertEquals(quantizeAbsmax(rows.slice()), rows);
});
