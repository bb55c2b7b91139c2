import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MemoryFile } from "../engine/loader/byte_file.ts";
import type { FileStore } from "../engine/loader/file_store.ts";
import { openGguf, readGguf } from "../engine/loader/gguf.ts";
import { GgufStrings } from "../engine/loader/gguf_metadata.ts";
import { TensorStore } from "../engine/loader/tensor_store.ts";
import { ggufBytes, type GgufParts, type TensorInfo, type Value } from "./gguf_bytes.ts";

const read = (parts: GgufParts) => readGguf(new MemoryFile("m.gguf", ggufBytes(parts)));
const f32 = (name: string, dimensions: bigint[], offset: bigint): TensorInfo => ({ name, dimensions, type: 0, offset });
const nested = (depth: number): Value => depth === 0 ? { array: [4, [{ u32: 1 }]] } : { array: [9, [nested(depth - 1)]] };

Deno.test("all kinds of metadata are read", () => {
  const metadata: [string, Value][] = [
    ["u8", { u8: 255 }],
    ["u16", { u16: 65535 }],
    ["u32", { u32: 4294967295 }],
    ["i32", { i32: -5 }],
    ["u64", { u64: 2n ** 53n - 1n }],
    ["big", { u64: 2n ** 64n - 1n }],
    ["i64", { i64: -7n }],
    ["f32", { f32: 0.5 }],
    ["f64", { f64: 1e300 }],
    ["yes", { bool: 1 }],
    ["text", { string: "é\u0000ü" }],
    ["none", { array: [8, []] }],
    ["strings", { array: [8, [{ string: "a" }, { string: "" }, { string: "Ġé" }]] }],
    ["zeros", { array: [8, [{ string: "a\u0000b" }, { string: "c" }]] }],
    ["numbers", { array: [5, [{ i32: -1 }, { i32: 2 }]] }],
    ["nested", nested(2)],
  ];
  const { metadata: found, version } = read({ metadata, version: 2 });
  assertEquals(version, 2);
  const simple = Object.fromEntries(["u8", "u16", "u32", "i32", "u64", "big", "i64", "f32", "f64", "yes", "text"].map((key) => [key, found.get(key)]));
  const expected = {
    u8: 255,
    u16: 65535,
    u32: 4294967295,
    i32: -5,
    u64: 2 ** 53 - 1,
    big: 2n ** 64n - 1n,
    i64: -7,
    f32: 0.5,
    f64: 1e300,
    yes: true,
    text: "é\u0000ü",
  };
  assertEquals(simple, expected);
  const strings = (key: string) => {
    const value = found.get(key);
    assert(value instanceof GgufStrings);
    assertEquals([...value], value.toArray());
    return value;
  };
  assertEquals(strings("strings").toArray(), ["a", "", "Ġé"]);
  assertEquals(strings("zeros").toArray(), ["a\u0000b", "c"]);
  assertEquals(strings("none").toArray(), []);
  assertThrows(() => strings("strings").at(3), RangeError, "Cannot get string 3: there are 3");
  assertEquals(found.get("numbers"), Int32Array.of(-1, 2));
  assertEquals(found.get("nested"), [[Uint32Array.of(1)]]);
});

Deno.test("tensors have their outermost dimension first and lie where the alignment says", async () => {
  const metadata: [string, Value][] = [["general.alignment", { u32: 64 }]];
  const file = new MemoryFile("m.gguf", ggufBytes({ metadata, tensors: [f32("b", [3n, 2n], 64n), f32("a", [2n], 0n)], alignment: 64, dataBytes: 88 }));
  const { tensors } = readGguf(file), b = tensors.get("b")!;
  assertEquals([b.shape, b.byteLength, b.offsetBytes % 64, b.offsetBytes], [[2, 3], 24, 0, file.size - 24]);
  assertEquals(Array.from(await new TensorStore(tensors, [file]).readRows("b", 1, 1)), Array.from({ length: 12 }, (_, i) => 76 + i));
});

Deno.test("rows of interleaved heads come back in halves, from any row on", async () => {
  const heads = 3, headRows = 8, cols = 2, rows = heads * headRows;
  // Row r of the original lies in the file where w.reshape(heads, 2, half, cols).swapaxes(1, 2) puts it.
  const original = Float32Array.from({ length: rows * cols }, (_, i) => i), stored = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / headRows), inHead = row % headRows, half = Math.floor(inHead / 4), place = head * headRows + (inHead % 4) * 2 + half;
    stored.set(original.subarray(row * cols, (row + 1) * cols), place * cols);
  }
  const file = new MemoryFile("q", new Uint8Array(stored.buffer)),
    tensor = { storageType: "f32", byteLength: rows * cols * 4, file, offsetBytes: 0, interleavedHeadRows: headRows } as const;
  const store = new TensorStore(
    new Map([["w", { ...tensor, shape: [rows, cols] }], ["b", { ...tensor, shape: [rows * cols], interleavedHeadRows: headRows * cols }]]),
    [file],
  );
  for (const [first, count] of [[0, rows], [0, 3], [5, 14], [8, 8], [23, 1], [7, 0]]) {
    assertEquals(new Float32Array((await store.readRows("w", first, count)).slice().buffer), original.slice(first * cols, (first + count) * cols));
  }
  assertEquals(Array.from(new Float32Array((await store.readRows("b", 0, 1)).slice().buffer).subarray(0, 3)), [stored[0], stored[2], stored[4]]);
});

Deno.test("malformed files are refused; the message names file, offset and field", () => {
  const key = (value: Value): GgufParts => ({ metadata: [["k", value]] });
  const tensor = (info: Partial<TensorInfo>, dataBytes = 32): GgufParts => ({ tensors: [{ ...f32("t", [8n], 0n), ...info }], dataBytes });
  const cut = (bytes: number) => new MemoryFile("m.gguf", ggufBytes(key({ string: "abc" })).subarray(0, bytes));
  // deno-lint-ignore no-explicit-any -- constructors of errors
  const cases: [GgufParts | MemoryFile, any, string][] = [
    [new MemoryFile("m.gguf", new Uint8Array(3)), RangeError, "at offset 0: the magic number ends past the file, which has 3 bytes"],
    [{ magic: "GGML" }, SyntaxError, "at offset 0: the file is no GGUF file, whose first four bytes are GGUF"],
    [{ version: 9 }, SyntaxError, "at offset 4: version 9 is not supported, 2 and 3 are"],
    [{ version: 1 }, SyntaxError, "version 1 is not supported"],
    [{ version: 0x03000000 }, SyntaxError, "the file is big-endian"],
    [{ tensorCount: 2n ** 60n }, RangeError, "at offset 8: the number of tensors is 1152921504606846976, but there is room for 0"],
    [{ valueCount: 2n ** 63n }, RangeError, "at offset 16: the number of metadata values is 9223372036854775808, but there is room for 0"],
    [{ ...key({ u32: 1 }), valueCount: 2n }, RangeError, "the number of metadata values is 2, but there is room for 1"],
    [cut(37), RangeError, "at offset 37: the length of k ends past the file, which has 37 bytes: it is cut off"],
    [cut(45), RangeError, "at offset 37: the length of k is 3, but there is room for 0"],
    [key({ raw: [8, [255, 255, 255, 255, 255, 255, 255, 127]] }), RangeError, "the length of k is 9223372036854775807"],
    [key({ raw: [13, [0]] }), SyntaxError, "at offset 33: k has the unknown value type 13"],
    [key({ bool: 2 }), SyntaxError, "at offset 37: k must be 0 or 1, got 2"],
    [key({ array: [4, [], 2n ** 40n] }), RangeError, "at offset 41: the length of k is 1099511627776, but there is room for 0"],
    [key({ array: [8, [], 2n ** 40n] }), RangeError, "the length of k is 1099511627776"],
    [key({ array: [9, [], 2n ** 40n] }), RangeError, "the length of k is 1099511627776"],
    [key({ array: [99, []] }), SyntaxError, "k has values of the unknown type 99"],
    [
      key({ raw: [9, [8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]] }),
      RangeError,
      "at offset 49: the length of string 0 of k ends past the file",
    ],
    [key(nested(4)), SyntaxError, "k has more than 4 arrays inside of one another"],
    [{ metadata: [["k", { u8: 1 }], ["k", { u8: 1 }]] }, SyntaxError, "metadata key k is there twice"],
    [{ metadata: [["general.alignment", { u32: 24 }]] }, RangeError, "general.alignment must be a power of two, got 24"],
    [{ metadata: [["general.alignment", { u32: 0 }]] }, RangeError, "general.alignment must be a power of two, got 0"],
    [{ metadata: [["general.alignment", { string: "x" }]] }, RangeError, "general.alignment must be a power of two, got x"],
    [tensor({ dimensions: [1n, 1n, 1n, 1n, 8n] }), SyntaxError, "tensor t has 5 dimensions, more than 4"],
    [tensor({ dimensions: [2n ** 62n] }), RangeError, "dimension 0 of t is 4611686018427387904"],
    [
      tensor({ dimensions: [2n ** 40n, 2n ** 40n] }),
      SyntaxError,
      "tensor t [1099511627776, 1099511627776] has no whole number of f32 blocks in a row, or too many",
    ],
    [tensor({ type: 4 }), SyntaxError, "at offset 45: tensor t has type 4, which is unknown"],
    [tensor({ type: 2 }), SyntaxError, "tensor t [8] has no whole number of q4_0 blocks in a row"],
    [tensor({ offset: 4n }), SyntaxError, "the offset 4 of tensor t is no multiple of the alignment 32"],
    [tensor({ offset: 2n ** 62n }), RangeError, "the offset of t is 4611686018427387904"],
    [tensor({ offset: 64n }), RangeError, "tensor t ends at offset 160, but the file has 96 bytes"],
    [tensor({}, 31), RangeError, "at offset 24: tensor t ends at offset 96, but the file has 95 bytes: it is cut off, or its listing is wrong"],
    [{ tensors: [f32("a", [8n], 0n), f32("a", [8n], 32n)], dataBytes: 64 }, SyntaxError, "tensor a is there twice"],
    [{ tensors: [f32("a", [9n], 0n), f32("b", [8n], 32n)], dataBytes: 64 }, SyntaxError, "tensor b overlaps a"],
  ];
  for (const [parts, errorClass, message] of cases) {
    const error = assertThrows(() => parts instanceof MemoryFile ? readGguf(parts) : read(parts), errorClass, message);
    assert(/^Cannot read m\.gguf( at offset \d+)?: /.test(error.message), error.message);
  }
});

/** Files in memory. */
function storeOf(files: Record<string, GgufParts>): FileStore {
  return {
    location: "dir",
    path: (name) => `dir/${name}`,
    readText: () => Promise.resolve(null),
    open: (name) =>
      name in files ? Promise.resolve(new MemoryFile(`dir/${name}`, ggufBytes(files[name]))) : Promise.reject(new Deno.errors.NotFound(`no dir/${name}`)),
  };
}

Deno.test("split files are read as one; parts that are missing or do not fit are refused", async () => {
  const part = (number: number, count = 2, tensors = 2): GgufParts => ({
    metadata: [["split.no", { u16: number }], ["split.count", { u16: count }], ["split.tensors.count", { i32: tensors }]],
    tensors: [f32(`t${number}`, [8n], 0n)],
    dataBytes: 32,
  });
  const first = "m-00001-of-00002.gguf", second = "m-00002-of-00002.gguf";
  const whole = await openGguf(storeOf({ [first]: part(0), [second]: part(1) }), first);
  assertEquals([[...whole.tensors.keys()], whole.tensors.get("t1")!.file.name, whole.files.length], [["t0", "t1"], `dir/${second}`, 2]);
  // deno-lint-ignore no-explicit-any -- constructors of errors
  const cases: [Record<string, GgufParts>, any, string, string?][] = [
    [{ [first]: part(0) }, Deno.errors.NotFound, `Cannot open dir/${second}: part 2 of 2 is missing`],
    [{ [first]: part(0), [second]: part(0) }, TypeError, `Cannot read dir/${second}: split.no must be 1, got 0`],
    [{ [first]: part(1), [second]: part(1) }, TypeError, `Cannot read dir/${first}: split.no must be 0, got 1`],
    [{ [first]: part(0, 2, 3), [second]: part(1) }, TypeError, "split.tensors.count is 3, its parts have 2 tensors"],
    [{ [first]: part(0, 3), [second]: part(1) }, TypeError, "it is one of 3 parts, but its name does not end in -00001-of-00003.gguf"],
    [{ "m.gguf": part(0) }, TypeError, "it is one of 2 parts", "m.gguf"],
    [{ [first]: part(0), [second]: { ...part(1), tensors: part(0).tensors } }, TypeError, `tensor t0 is in dir/${first} already`],
    [{ [first]: { metadata: [["split.count", { string: "2" }]] } }, TypeError, "split.count must be a whole number"],
  ];
  for (const [files, errorClass, message, name] of cases) await assertRejects(() => openGguf(storeOf(files), name ?? first), errorClass, message);
});
