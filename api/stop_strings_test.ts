import { assertEquals, assertThrows } from "@std/assert";
import { StopStrings } from "./stop_strings.ts";

const vocabulary = ["A", " end", ".", " She", "\n\n", "ab", "c"].map((text) => new TextEncoder().encode(text));
vocabulary.push(new Uint8Array([0xe4, 0xb8]), new Uint8Array([0xad])); // 中 in two tokens
const stops = (...texts: string[]) => new StopStrings(texts, (id) => vocabulary[id]);

Deno.test("a stop string ends inside the last token", () => {
  assertEquals(stops(". ").matches([0, 2]), false);
  assertEquals(stops(". ").matches([0, 2, 3]), true);
  assertEquals(stops(". ").matches([0, 2, 3, 2]), false);
  assertEquals(stops("\n").matches([4]), true);
  assertEquals(stops("xyz", "bca").matches([5, 6, 5]), true);
  assertEquals(stops("abcabc").matches([5, 6, 5]), false);
  assertEquals(stops("abcabc").matches([5, 6, 5, 6]), true);
  assertEquals(stops("中").matches([0, 7]), false);
  assertEquals(stops("中").matches([0, 7, 8]), true);
  assertEquals(stops().matches([0]), false);
});

Deno.test("an empty stop string is an error", () => {
  assertThrows(() => stops(""), RangeError, "must not be empty");
});
