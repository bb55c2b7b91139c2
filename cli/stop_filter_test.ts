import { assertEquals } from "@std/assert";
import { StopFilter } from "./stop_filter.ts";

Deno.test("the text ends before the first stop string, wherever it is cut", () => {
  const text = "aaab, END of it. EN";
  const run = (stops: string[], pieces: Iterable<string>) => {
    const filter = new StopFilter(stops);
    let out = "";
    for (const piece of pieces) out += filter.push(piece);
    return [out + filter.flush(), filter.stopped];
  };
  for (const pieces of [[text], text, text.match(/.{1,3}/g)!]) {
    assertEquals(run([], pieces), [text, false]);
    assertEquals(run(["END"], pieces), ["aaab, ", true]);
    assertEquals(run(["of", "aab"], pieces), ["a", true]);
    assertEquals(run(["nothing", ""], pieces), [text, false]);
    assertEquals(run(["ENT"], pieces), [text, false]);
  }
});
