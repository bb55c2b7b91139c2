import { assertEquals, assertThrows } from "@std/assert";
import type { Program } from "../engine/program.ts";
import { cacheSize, type CacheSizeOptions } from "./cache_size.ts";

/** Keys and values of the shape of SmolLM3-3B, and of the embedded model. */
const large = { caches: Array.from({ length: 36 }, (_, layer) => ({ kind: "cache", layer, kvHeads: 4, headDim: 128 })) } as unknown as Program;
const small = { caches: Array.from({ length: 8 }, (_, layer) => ({ kind: "cache", layer, kvHeads: 2, headDim: 64 })) } as unknown as Program;
const options: CacheSizeOptions = { blockSize: 16, maxNumSeqs: 16, cacheType: "f16" };

Deno.test("a large model gets 8,192 tokens, a small one the contexts of all sequences", () => {
  assertEquals(cacheSize(large, 65536, options), { blocks: 512, maxModelLen: 8192, bytes: 512 * 16 * 73728 });
  assertEquals(cacheSize(small, 2048, options), { blocks: 2048, maxModelLen: 2048, bytes: 2048 * 16 * 4096 });
  assertEquals(cacheSize(small, 2048, { ...options, cacheType: "f32" }).bytes, 2048 * 16 * 8192);
  assertEquals(cacheSize(large, 4096, options).maxModelLen, 4096);
});

Deno.test("what is asked for is given", () => {
  assertEquals(cacheSize(large, 65536, { ...options, maxModelLen: 65536 }).maxModelLen, 65536);
  assertEquals(cacheSize(large, 65536, { ...options, maxModelLen: 100, maxNumSeqs: 1 }), { blocks: 7, maxModelLen: 100, bytes: 7 * 16 * 73728 });
  assertEquals(cacheSize(small, 2048, { ...options, cacheBytes: 4096 * 16 * 10 }), { blocks: 10, maxModelLen: 160, bytes: 4096 * 160 });
});

Deno.test("what cannot be given is refused with both numbers", () => {
  assertThrows(() => cacheSize(small, 2048, { ...options, cacheBytes: 65535 }), RangeError, "holds no block of 16 tokens, which takes 65536");
  assertThrows(
    () => cacheSize(small, 2048, { ...options, cacheBytes: 65536, maxModelLen: 17 }),
    RangeError,
    "holds 16 tokens, maxModelLen is 17: raise cacheBytes to 131072",
  );
  assertThrows(() => cacheSize(small, 2048, { ...options, maxModelLen: 0 }), RangeError, "maxModelLen must be");
});
