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

Deno.test("rows stay as they are while the next ones are read, and no longer", async () => {
  const [rows, cols] = [6, 100],
    shape = [rows, cols],
    stored = { storageType: "f32", shape, byteLength: 2400, file: new MemoryFile("m", bytes), offsetBytes: 8 } as const;
  const store = new TensorStore(new Map([["m", stored]]), []), row = (i: number) => bytes.subarray(8 + 400 * i, 408 + 400 * i);
  const first = await store.readRows("m", 0, 1), second = await store.readRows("m", 3, 1);
  assertEquals([first, second], [row(0), row(3)]);
  await store.readRows("m", 5, 1);
  assertEquals([first, second], [row(5), row(3)]);
});
