import { assertEquals } from "@std/assert";
import { TextStreamer, type TextStreamerOptions } from "./text_streamer.ts";

const vocabulary = ["Once", " upon", " a", " time", "\n", "The", " end", "中", "文", "<eos>"];
const decoder = {
  decode: (ids: readonly number[], options?: { skipSpecialTokens?: boolean }) =>
    ids.filter((id) => !(options?.skipSpecialTokens && id === 9)).map((id) => vocabulary[id]).join(""),
};

function stream(prompt: number[], tokens: number[], options?: TextStreamerOptions): string[] {
  const pieces: string[] = [];
  const streamer = new TextStreamer(decoder, options);
  streamer.onFinalizedText = (text, end) => pieces.push(end ? text + "|" : text);
  streamer.put(prompt);
  for (const token of tokens) streamer.put([token]);
  streamer.end();
  return pieces;
}

Deno.test("words come when they are complete, lines at once, the rest at the end", () => {
  assertEquals(stream([0, 1], [2, 3, 4, 5, 6]), ["Once ", "upon ", "a ", "time\n", "", "The ", "end|"]);
});

Deno.test("ideographs come at once", () => {
  assertEquals(stream([0], [7, 8]), ["", "Once中", "文", "|"]);
});

Deno.test("the prompt and special tokens are left out on request", () => {
  assertEquals(stream([0, 1], [2, 9], { skipPrompt: true, skipSpecialTokens: true }), [" ", "", "a|"]);
});
