import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type ByteFile, MemoryFile, openLocalFile } from "../engine/loader/byte_file.ts";
import { TensorStore } from "../engine/loader/tensor_store.ts";

const bytes = Uint8Array.from({ length: 3_000_007 }, (_, i) => i * 31 + (i >> 8));

async function withFile(use: (path: string, file: ByteFile) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile();
  await Deno.writeFile(path, bytes);
  const file = await openLocalFile(path);
  try {
    await use(path, file);
  } finally {
    file.close();
    file.close();
    await Deno.remove(path);
  }
}

Deno.test("a local file gives the same bytes read at once, aside, and from memory", () =>
  withFile(async (_, local) => {
    for (const file of [local, new MemoryFile("m", bytes)]) {
      for (const [offset, length] of [[0, bytes.length], [1, 2_999_999], [2_000_000, 1_000_007], [7, 300_000], [70, 5], [3_000_007, 0]]) {
        const [now, aside] = [new Uint8Array(length), new Uint8Array(length)];
        file.read(offset, now);
        await file.readAside(offset, aside);
        assertEquals(now, bytes.subarray(offset, offset + length));
        assertEquals(aside, now);
      }
      assertThrows(() => file.read(1, new Uint8Array(bytes.length)), RangeError, "3000007 bytes at offset 1 end past its 3000007 bytes");
      await assertRejects(() => file.readAside(3_000_000, new Uint8Array(8)), RangeError, "8 bytes at offset 3000000 end past");
    }
  }));

Deno.test("a file that is cut off after it was opened", () =>
  withFile(async (path, file) => {
    await Deno.truncate(path, 500_000);
    const message = "it was cut off, it had 3000007 bytes when it was opened";
    assertThrows(() => file.read(0, new Uint8Array(bytes.length)), RangeError, message);
    await assertRejects(() => file.readAside(0, new Uint8Array(bytes.length)), RangeError, message);
  }));

Deno.test("many reads of a local file at once, more than it has readers", () =>
  withFile(async (_, file) => {
    const reads = Array.from({ length: 40 }, (_, i) => ({ offset: i * 70_001, into: new Uint8Array(3_000_007 - i * 70_001) }));
    await Promise.all(reads.map(({ offset, into }) => file.readAside(offset, into)));
    for (const { offset, into } of reads) assertEquals(into, bytes.subarray(offset));
  }));

Deno.test("a read that fails leaves its reader to others", () =>
  withFile(async (path, file) => {
    await Deno.truncate(path, 500_000);
    const failing = Array.from({ length: 20 }, () => assertRejects(() => file.readAside(600_000, new Uint8Array(8)), RangeError, "it was cut off"));
    await Promise.all(failing);
    const into = new Uint8Array(400_000);
    await file.readAside(0, into);
    assertEquals(into, bytes.subarray(0, 400_000));
  }));

Deno.test("rows are read into memory that is given, or into memory of their own", async () => {
  const shape = [6, 100], stored = { storageType: "f32", shape, byteLength: 2400, file: new MemoryFile("m", bytes), offsetBytes: 8 } as const;
  const store = new TensorStore(new Map([["m", stored]]), []), rows = (first: number, end: number) => bytes.subarray(8 + 400 * first, 8 + 400 * end);
  const memory = new Uint8Array(1000), [given, own] = await Promise.all([store.readRows("m", 1, 2, memory), store.readRows("m", 3, 3)]);
  assertEquals([given, own], [rows(1, 3), rows(3, 6)]);
  assertEquals([given.buffer === memory.buffer, given.byteOffset, memory.subarray(800).every((byte) => byte === 0)], [true, 0, true]);
  await assertRejects(() => store.readRows("m", 0, 3, memory), RangeError, "Cannot read 3 rows of m into 1000 bytes: they take 1200");
});
