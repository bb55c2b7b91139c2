import { assert, assertEquals, assertThrows } from "@std/assert";
import { BlockPool, rootLink } from "./block_pool.ts";

Deno.test("a pool gives every block once, then none", () => {
  const pool = new BlockPool(3, 4);
  assertEquals([pool.allocate(), pool.allocate(), pool.allocate()].sort(), [0, 1, 2]);
  assertEquals(pool.free, 0);
  assertThrows(() => pool.allocate(), RangeError, "all 3 are in use");
});

Deno.test("a registered block is found by its tokens and what came before, also when nobody holds it", () => {
  const pool = new BlockPool(4, 2), tokens = [5, 6, 7, 8];
  const [first, second] = [pool.allocate(), pool.allocate()];
  const link = pool.register(first, rootLink, tokens, 0);
  pool.register(second, link, tokens, 2);
  pool.release(second);
  pool.release(first);
  assertEquals(pool.free, 4);
  assertEquals(pool.find(rootLink, tokens, 0), first);
  assertEquals(pool.find(link, tokens, 2), second);
  assertEquals(pool.find(rootLink, tokens, 2), -1, "the same tokens after nothing are another content");
  assertEquals(pool.find(link, [5, 6, 7, 9], 2), -1);
  pool.retain(first);
  assertEquals([pool.free, pool.references(first)], [3, 1]);
});

Deno.test("unregistered blocks are given away first, then registered ones, longest unused first", () => {
  const pool = new BlockPool(3, 1);
  const blocks = [pool.allocate(), pool.allocate(), pool.allocate()];
  const link = pool.register(blocks[0], rootLink, [1], 0);
  pool.register(blocks[1], rootLink, [2], 0);
  for (const block of blocks) pool.release(block);
  assertEquals([...pool.freeBlocks()], [blocks[2], blocks[0], blocks[1]]);
  pool.retain(blocks[0]);
  pool.release(blocks[0]);
  assertEquals([...pool.freeBlocks()], [blocks[2], blocks[1], blocks[0]]);
  pool.allocate();
  assertEquals(pool.find(rootLink, [2], 0), blocks[1]);
  pool.allocate();
  assertEquals(pool.find(rootLink, [2], 0), -1, "given away, so forgotten");
  assertEquals(pool.link(pool.find(rootLink, [1], 0)), link);
});

Deno.test("of two equal blocks the first stays registered and both continue one chain", () => {
  const pool = new BlockPool(2, 2), [a, b] = [pool.allocate(), pool.allocate()];
  const link = pool.register(a, rootLink, [1, 2], 0);
  assertEquals(pool.register(b, rootLink, [1, 2], 0), link);
  assertEquals([pool.link(a), pool.link(b)], [link, 0]);
});

Deno.test("equal hashes are not taken for equal tokens", () => {
  // A number above 32 bits hashes like its low half.
  const pool = new BlockPool(1, 1),
    hash = (token: number) => {
      const mixed = Math.imul(token, 0x85ebca6b);
      return mixed ^ mixed >>> 15;
    };
  const other = 0x1_0000_0001; // equal to 1 in 32 bits, but no token id
  assertEquals(hash(other), hash(1));
  pool.register(pool.allocate(), rootLink, [1], 0);
  assertEquals(pool.find(rootLink, [other], 0), -1);
  assertEquals(pool.find(2 ** 32, [1], 0), -1, "nor equal hashes of what came before");
  const link = pool.register(0, rootLink, [other], 0);
  assert(link !== pool.link(0), "a chain with another content has another link");
});

Deno.test("wrong sizes and releases are errors", () => {
  assertThrows(() => new BlockPool(0, 16), RangeError, "0 blocks");
  assertThrows(() => new BlockPool(4, 1.5), RangeError, "block size of 1.5");
  assertThrows(() => new BlockPool(1, 1).release(0), RangeError, "nobody holds it");
});
