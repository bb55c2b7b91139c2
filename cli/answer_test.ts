import { assert, assertEquals, assertRejects } from "@std/assert";
import type { AutoTokenizer } from "../api/auto_tokenizer.ts";
import type { CausalLM } from "../api/causal_lm.ts";
import type { StreamPiece } from "../api/generate.ts";
import { answer, generationOptions } from "./answer.ts";

/** A model that says the same whatever it is asked. */
function speaker(pieces: string[], prompt = ""): Pick<CausalLM, "stream" | "tokenizer"> {
  return {
    tokenizer: () => Promise.resolve({ decode: () => prompt } as unknown as AutoTokenizer),
    async *stream({ signal }): AsyncGenerator<StreamPiece, void> {
      for (const [i, text] of pieces.entries()) {
        signal?.throwIfAborted();
        yield { tokenId: i, text, ...(i === pieces.length - 1 && { finishReason: "length" }) };
      }
    },
  };
}

async function say(pieces: string[], options: { stop?: string[]; prompt?: string } = {}) {
  const told = { answer: "", reasoning: "" };
  const sink = { onAnswer: (text: string) => told.answer += text, onReasoning: (text: string) => told.reasoning += text };
  const { signal } = new AbortController();
  const result = await answer(speaker(pieces, options.prompt), [1], { stop: options.stop, signal }, sink);
  return { ...result, told };
}

Deno.test("reasoning and answer go their own ways, with an empty line between them", async () => {
  const { told, text, answer, finishReason, tokenIds } = await say(["<thi", "nk>\nHm", "m</think>", "\n\nYes", "."]);
  assertEquals(told, { reasoning: "Hmm\n\n", answer: "Yes." });
  assertEquals([text, answer, finishReason, tokenIds], ["<think>\nHmm</think>\n\nYes.", "Yes.", "length", [0, 1, 2, 3, 4]]);
  assertEquals((await say(["Hm</think>Yes"], { prompt: "<|im_start|>assistant\n<think>\n" })).told, { reasoning: "Hm\n\n", answer: "Yes" });
});

Deno.test("reasoning that is cut ends its line", async () => {
  assertEquals((await say(["<think>Hm"])).told, { reasoning: "Hm\n", answer: "" });
});

Deno.test("a stop string ends the answer, nothing held back is lost", async () => {
  const stopped = await say(["a b", " EN", "D c"], { stop: ["END"] });
  assertEquals([stopped.text, stopped.finishReason, stopped.tokenIds], ["a b ", "stop", [0, 1, 2]]);
  assertEquals((await say(["a b", " EN"], { stop: ["END"] })).told.answer, "a b EN");
});

Deno.test("an abort is an answer, an error is not", async () => {
  const abort = new AbortController(), sink = { onAnswer: () => abort.abort(), onReasoning: () => {} };
  const { text, finishReason } = await answer(speaker(["a", "b"]), [1], { signal: abort.signal }, sink);
  assertEquals([text, finishReason], ["a", "aborted"]);
  const failing = {
    ...speaker([]),
    async *stream(): AsyncGenerator<StreamPiece, void> {
      yield await Promise.resolve({ tokenId: 0, text: "a" });
      throw new RangeError("no");
    },
  };
  await assertRejects(() => answer(failing, [1], { signal: new AbortController().signal }, sink), RangeError, "no");
});

Deno.test("temperature 0 is greedy, any other sampling flag samples, none leaves it to the model", () => {
  assertEquals(generationOptions({ temperature: 0, "top-k": 3 }).doSample, false);
  assertEquals(generationOptions({ "top-p": 0.5 }).doSample, true);
  assert(!("doSample" in generationOptions({ "max-new-tokens": 3 })));
});
