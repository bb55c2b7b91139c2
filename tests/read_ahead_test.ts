import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Checkpoint } from "../engine/loader/checkpoint.ts";
import { ReadAhead, type Rows } from "../engine/loader/read_ahead.ts";
import { random } from "./random_model.ts";

const memoryBytes = 1000;

/** Rows of many sizes, none of more than half of the memory. */
function rowsOf(count: number): Rows[] {
  const next = random(3);
  return Array.from({ length: count }, (_, i) => ({ tensor: `${i}`, firstRow: i, rows: 1, storedBytes: 1 + Math.floor(next() ** 2 * memoryBytes / 2) }));
}

/** Reads that end when they are told to. */
class SlowReads {
  /** Those under way, by tensor. */
  readonly open = new Map<number, { into: Uint8Array; end: (error?: Error) => void }>();
  most = 0;
  readonly readRows: Checkpoint["readRows"] = (tensor, _firstRow, _rows, into) => {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array<ArrayBuffer>>(), number = Number(tensor);
    for (const { into: other } of this.open.values()) {
      const [start, end] = [into!.byteOffset, into!.byteOffset + into!.length];
      assert(start >= other.byteOffset + other.length || end <= other.byteOffset, "two reads fill the same memory");
    }
    const end = (error?: Error) => {
      this.open.delete(number);
      if (error) return reject(error);
      into!.fill(number);
      resolve(into!);
    };
    this.open.set(number, { into: into!, end });
    this.most = Math.max(this.most, this.open.size);
    return promise;
  };
}

function readAhead(rows: readonly Rows[]): { reads: SlowReads; ahead: ReadAhead<Rows> } {
  const reads = new SlowReads(), { readRows } = reads;
  return { reads, ahead: new ReadAhead({ readRows } as Checkpoint, rows, memoryBytes) };
}

Deno.test("rows come in order with their bytes, in whatever order their reads end, and memory is used again only after its rows", async () => {
  const rows = rowsOf(500), { reads, ahead } = readAhead(rows), next = random(4), seen: Rows[] = [];
  const timer = setInterval(() => {
    const open = [...reads.open.values()];
    open[Math.floor(next() * open.length)]?.end();
  });
  for await (const [row, bytes] of ahead) {
    const number = seen.push(row) - 1;
    assertEquals([bytes.length, bytes.every((byte) => byte === number % 256)], [row.storedBytes, true]);
    if (next() < 0.1) await new Promise((resolve) => setTimeout(resolve));
    assert(bytes.every((byte) => byte === number % 256), "bytes changed while they were used");
  }
  clearInterval(timer);
  assertEquals([seen, reads.open.size], [rows, 0]);
  assert(reads.most > 3, `at most ${reads.most} reads were under way at once`);
});

Deno.test("a read that fails does so when it is its turn, and the others end before settling does", async () => {
  const { reads, ahead } = readAhead(rowsOf(20)), seen: string[] = [];
  assert(reads.open.size > 2);
  const reading = (async () => {
    for await (const [{ tensor }] of ahead) seen.push(tensor);
  })();
  reads.open.get(1)!.end(new RangeError("cut off"));
  reads.open.get(0)!.end();
  await assertRejects(() => reading, RangeError, "cut off");
  assertEquals(seen, ["0"]);
  let settled = false;
  const settling = ahead.settle().then(() => settled = true);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(settled, false);
  for (const { end } of [...reads.open.values()]) end();
  await settling;
});
