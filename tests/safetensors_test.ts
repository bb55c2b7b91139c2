import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MemoryFile } from "../engine/loader/byte_file.ts";
import { readSafetensors } from "../engine/loader/safetensors.ts";
import { TensorStore } from "../engine/loader/tensor_store.ts";

/** A file of that header, with `dataBytes` bytes 0, 1, 2, ... of tensors. */
function safetensors(header: unknown, dataBytes: number, claimedLength?: bigint): MemoryFile {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimedLength ?? BigInt(json.length), true);
  bytes.set(json, 8);
  for (let i = 0; i < dataBytes; i++) bytes[8 + json.length + i] = i;
  return new MemoryFile("model.safetensors", bytes);
}
const u8 = (begin: number, end: number) => ({ dtype: "U8", shape: [end - begin], data_offsets: [begin, end] });

Deno.test("tensors are listed in the order of their bytes, with their types and shapes", () => {
  const header = { __metadata__: { format: "pt" }, b: { dtype: "BF16", shape: [2, 3], data_offsets: [4, 16] }, a: u8(0, 4), none: u8(16, 16) };
  const file = safetensors(header, 16), tensors = readSafetensors(file);
  assertEquals([...tensors.keys()], ["a", "b", "none"]);
  const { storageType, shape, byteLength, offsetBytes } = tensors.get("b")!;
  assertEquals([storageType, shape, byteLength, offsetBytes], ["bf16", [2, 3], 12, file.size - 12]);
});

Deno.test("rows are read where they lie; what is no weight is refused", async () => {
  const header = { m: { dtype: "F16", shape: [4, 3], data_offsets: [0, 24] }, v: { dtype: "F32", shape: [2], data_offsets: [24, 32] }, q: u8(32, 36) };
  const file = safetensors(header, 36), store = new TensorStore(readSafetensors(file), [file]);
  assertEquals(Array.from(await store.readRows("m", 1, 2)), Array.from({ length: 12 }, (_, i) => 6 + i));
  assertEquals(Array.from(await store.readRows("v", 0, 1)), [24, 25, 26, 27, 28, 29, 30, 31]);
  assertEquals((await store.readRows("m", 4, 0)).length, 0);
  await assertRejects(() => store.readRows("m", 3, 2), RangeError, "Cannot read rows 3 to 5 of m: it has 4");
  await assertRejects(() => store.readRows("q", 0, 1), TypeError, "Cannot read q as weights: it is u8 [4]");
  await assertRejects(() => store.readRows("x", 0, 1), TypeError, "there is no such tensor");
});

Deno.test("a header of quotes, colons and padding is read", () => {
  const name = 'a":{\\"é: :';
  const tensors = readSafetensors(safetensors(`${JSON.stringify({ [name]: u8(0, 2) })}   `, 2));
  assertEquals([...tensors.keys()], [name]);
});

Deno.test("malformed files are refused; the message names the file and the place", () => {
  const f32 = (shape: unknown, begin: unknown, end: unknown) => ({ t: { dtype: "F32", shape, data_offsets: [begin, end] } });
  // deno-lint-ignore no-explicit-any -- constructors of errors
  const cases: [MemoryFile, any, string][] = [
    [new MemoryFile("model.safetensors", new Uint8Array(7)), SyntaxError, "7 bytes are no safetensors file"],
    [safetensors({}, 0, 2n ** 60n), RangeError, "the header length at offset 0 is 1152921504606846976, more than 100000000 bytes"],
    [safetensors({}, 0, 2n ** 64n - 1n), RangeError, "the header length at offset 0 is 18446744073709551615"],
    [safetensors({}, 0, 1000n), RangeError, "the header length at offset 0 is 1000, but the file has 10 bytes: it is cut off"],
    [safetensors("", 0), SyntaxError, "the header at offset 8 is not JSON"],
    [safetensors('{"a":', 0), SyntaxError, "the header at offset 8 is not JSON"],
    [safetensors("[]", 0), SyntaxError, "the header at offset 8 is not a JSON object"],
    [safetensors("\ufeff{}", 0), SyntaxError, "not JSON"],
    [safetensors({ a: 1 }, 0), SyntaxError, "tensor a in the header is not an object"],
    [safetensors({ __metadata__: { a: 1 } }, 0), SyntaxError, "__metadata__ in the header is not an object of strings"],
    [safetensors({ t: { dtype: "Q4", shape: [], data_offsets: [0, 0] } }, 0), SyntaxError, "dtype of tensor t must be one of F32, F16, BF16, F64"],
    [safetensors({ t: { ...u8(0, 1), extra: {} } }, 1), SyntaxError, "tensor t has the unknown key extra"],
    [safetensors(f32([1.5], 0, 4), 4), SyntaxError, "shape of tensor t must be a list of whole numbers"],
    [safetensors(f32([-1], 0, 4), 4), SyntaxError, "shape of tensor t"],
    [safetensors(f32("2", 0, 8), 8), SyntaxError, "shape of tensor t"],
    [safetensors(f32([1], 4, 0), 4), SyntaxError, "data_offsets of tensor t must be two whole numbers in order"],
    [safetensors(f32([1], 0, 1e300), 4), SyntaxError, "data_offsets of tensor t"],
    [safetensors(f32([2, 2], 0, 12), 12), SyntaxError, "data_offsets of tensor t span 12 bytes, its F32 [2, 2] needs 16"],
    [
      safetensors(f32([2 ** 32, 2 ** 32], 0, 0), 0),
      SyntaxError,
      "data_offsets of tensor t span 0 bytes, its F32 [4294967296, 4294967296] needs too many to count",
    ],
    [safetensors({ a: u8(0, 4), b: u8(2, 6) }, 6), SyntaxError, "tensor b at offset 115 overlaps the one before it, which ends at 117"],
    [safetensors({ a: u8(0, 4), b: u8(6, 8) }, 8), SyntaxError, "2 bytes before tensor b at offset 119 belong to no tensor"],
    [safetensors({ a: u8(1, 4) }, 4), SyntaxError, "1 bytes before tensor a"],
    [safetensors({ a: u8(0, 4) }, 5), SyntaxError, "1 bytes at offset 65 belong to no tensor"],
    [safetensors({ a: u8(0, 4) }, 3), RangeError, "tensor a ends at offset 65, but the file has 64 bytes: it is cut off"],
    [safetensors(`{"a":${JSON.stringify(u8(0, 4))},"a":${JSON.stringify(u8(0, 4))}}`, 4), SyntaxError, "the header at offset 8 has a name twice"],
    [safetensors('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1), SyntaxError, "has a name twice"],
  ];
  for (const [file, errorClass, message] of cases) {
    const error = assertThrows(() => readSafetensors(file), errorClass, message);
    assert(error.message.startsWith("Cannot read model.safetensors: "), error.message);
  }
});
