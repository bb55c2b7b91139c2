import { assertEquals } from "@std/assert";
import { ReasoningSplitter } from "./reasoning.ts";

function split(pieces: Iterable<string>, inside?: boolean) {
  const splitter = new ReasoningSplitter(inside);
  const told = { reasoning: "", answer: "" };
  const add = (piece: { reasoning: string; answer: string }) => {
    told.reasoning += piece.reasoning;
    told.answer += piece.answer;
  };
  for (const piece of pieces) add(splitter.push(piece));
  add(splitter.flush());
  return told;
}

Deno.test("reasoning and answer come apart wherever the text is cut", () => {
  const text = "<think>\nIs 1 < 2?\nYes.</think>\n\nYes, 1 < 2 <thin";
  const expected = { reasoning: "Is 1 < 2?\nYes.", answer: "Yes, 1 < 2 <thin" };
  assertEquals(split([text]), expected);
  assertEquals(split(text), expected);
  for (let i = 0; i < text.length; i++) assertEquals(split([text.slice(0, i), text.slice(i)]), expected);
});

Deno.test("text without reasoning is the answer; a prompt may have opened it", () => {
  assertEquals(split([" Hello <b>"]), { reasoning: "", answer: " Hello <b>" });
  assertEquals(split(["Hm</think>\nHello"], true), { reasoning: "Hm", answer: "Hello" });
  assertEquals(split(["<think>cut"]), { reasoning: "cut", answer: "" });
});
