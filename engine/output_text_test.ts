import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { FakeTokenizer, letter } from "../tests/fake_model.ts";
import { OutputText } from "./output_text.ts";

/** Pieces that the letters of a text make showable one by one, and the rest. */
function show(text: string, stops: string[], { include = false, minTokens = 0 } = {}): [pieces: string[], rest: string, stop: string | null] {
  const tokenizer = new FakeTokenizer(), output = new OutputText(() => tokenizer.detokenizer(), stops, include), pieces: string[] = [];
  for (let i = 0; i < text.length && output.stopString === null; i++) pieces.push(output.push(text.charCodeAt(i) - 97, i + 1 > minTokens));
  const rest = output.end();
  assertEquals(tokenizer.live, 0, "a detokenizer was not freed");
  return [pieces, rest, output.stopString];
}

Deno.test("without stop strings every token shows at once", () => {
  assertEquals(show("abc", []), [["a", "b", "c"], "", null]);
  assertEquals(show("", ["x"]), [[], "", null]);
});

Deno.test("what may begin a stop string is held back and shown when it does not", () => {
  assertEquals(show("abxaby", ["aby"]), [["", "", "abx", "", "", ""], "", "aby"]);
  assertEquals(show("xab", ["aby"]), [["x", "", ""], "ab", null]);
  assertEquals(show("aab", ["ab"]), [["", "a", ""], "", "ab"]);
});

Deno.test("a stop string stays in the text when asked for", () => {
  assertEquals(show("xyz", ["yz"], { include: true }), [["x", "", "yz"], "", "yz"]);
});

Deno.test("stop strings count only after the fewest tokens", () => {
  assertEquals(show("xyxyz", ["xy"], { minTokens: 2 }), [["", "xy", "", ""], "", "xy"]);
  assertEquals(show("xyxyz", ["xy", "yxyq"], { minTokens: 2 }), [["", "x", "", "y"], "", "xy"]);
  assertEquals(show("xabq", ["ab", "xabc"], { minTokens: 3 }), [["", "", "", "xabq"], "", null]);
});

Deno.test("a stop string in the middle of a token cuts it; the first one in the text wins", () => {
  for (const stops of [["four", "ree"], ["ree", "four"]]) {
    const output = new OutputText(() => ({ push: (id) => ["one two ", "three four"][id], flush: () => "", free: () => {} }), stops, false);
    assertEquals([output.push(0, true), output.push(1, true), output.stopString, output.end()], ["one two ", "th", "ree", ""]);
  }
});

Deno.test("pieces join to the text before the first stop string, and nothing shown is taken back", () => {
  const text = fc.array(fc.nat(2), { maxLength: 30 }).map((ids) => ids.map(letter).join(""));
  const stops = fc.array(fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }).map((ids) => ids.map(letter).join("")), { minLength: 1, maxLength: 3 });
  fc.assert(fc.property(text, stops, fc.boolean(), (text, stops, include) => {
    const [pieces, rest, found] = show(text, stops, { include });
    // The shortest beginning that contains a stop string; in it, the one that starts first.
    const end = Array.from(text, (_, i) => i + 1).find((end) => stops.some((stop) => text.slice(0, end).includes(stop)));
    const at = end === undefined ? text.length : Math.min(...stops.filter((stop) => text.slice(0, end).includes(stop)).map((stop) => text.indexOf(stop)));
    assertEquals(found !== null, end !== undefined);
    assertEquals(pieces.join("") + rest, text.slice(0, at + (include && found ? found.length : 0)));
  }));
});
