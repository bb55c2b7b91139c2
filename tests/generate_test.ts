/** `generate` and `stream`: what takes part in them, sampling, mistakes. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import type { GenerateOptions } from "../api/generate.ts";
import { TextStreamer } from "../api/text_streamer.ts";
import { wasmBackends } from "./model_backends.ts";

const load = async () => await AutoModelForCausalLM.fromPretrained("embedded", { ...await wasmBackends[1].options(), dtype: "float32" });
const greedy = { doSample: false, maxNewTokens: 12 } as const;

/** Runs something and collects what goes to `console.warn`. */
async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const warn = console.warn, warnings: string[] = [];
  console.warn = (message: string) => warnings.push(message);
  try {
    await work();
  } finally {
    console.warn = warn;
  }
  return warnings;
}

Deno.test("generation around the model", async (t) => {
  await using model = await load();
  const tokenizer = await model.tokenizer();
  const inputIds = tokenizer.encode("Once upon a time");
  const answerOf = async (options: Omit<GenerateOptions, "inputIds">) => (await model.generate({ inputIds, ...options })).sequences[0].slice(inputIds.length);
  const plain = await answerOf(greedy);

  await t.step("a streamer gets the prompt and each token", async () => {
    const pieces: string[] = [];
    const streamer = new TextStreamer(tokenizer, { skipPrompt: true });
    streamer.onFinalizedText = (text) => pieces.push(text);
    await answerOf({ ...greedy, streamer });
    assertEquals(pieces.join(""), tokenizer.decode(plain));
    assert(pieces.length > 8);
  });

  await t.step("stream gives each token with its text and log probability", async () => {
    const pieces = await Array.fromAsync(model.stream({ inputIds, ...greedy, logprobs: true }));
    assertEquals(pieces.map(({ tokenId }) => tokenId), plain);
    assertEquals(pieces.map(({ text }) => text).join(""), tokenizer.decode(plain));
    assertEquals(pieces.map(({ finishReason }) => finishReason), [...Array(11).fill(undefined), "length"]);
    const { logits } = await model.forward({ inputIds, logitsToKeep: 1 });
    const total = logits.data.reduce((sum, value) => sum + Math.exp(value), 0);
    assertAlmostEquals(pieces[0].logprob!, logits.data[plain[0]] - Math.log(total), 1e-4);
  });

  await t.step("stream ends with stop at an end-of-text token, which has no text", async () => {
    const [last] = (await Array.fromAsync(model.stream({ inputIds, ...greedy, eosTokenId: plain[4] }))).slice(-1);
    assertEquals(last, { tokenId: plain[4], text: "", finishReason: "stop" });
  });

  await t.step("leaving the loop ends the request", async () => {
    for await (const _ of model.stream({ inputIds, doSample: false, maxNewTokens: 1000 })) break;
    assertEquals(await answerOf(greedy), plain);
  });

  await t.step("a signal ends generate, stream and what has not begun", async () => {
    const abort = new AbortController(), { signal } = abort;
    const pending = model.generate({ inputIds, doSample: false, maxNewTokens: 2000, signal });
    setTimeout(() => abort.abort(new RangeError("enough")), 30);
    await assertRejects(() => pending, RangeError, "enough");
    await assertRejects(() => model.generate({ inputIds, signal }), RangeError, "enough");
    await assertRejects(() => Array.fromAsync(model.stream({ inputIds, signal })), RangeError, "enough");
    assertEquals(await answerOf(greedy), plain);
  });

  await t.step("processors come after the options' own, criteria end a row", async () => {
    const seen: number[] = [];
    const logitsProcessor = (tokenIds: readonly number[], logits: Float32Array) => {
      seen.push(tokenIds.length);
      logits[plain[0]] = -Infinity;
    };
    const changed = await answerOf({ ...greedy, logitsProcessor });
    assert(!changed.includes(plain[0]));
    assertEquals(seen, Array.from({ length: 12 }, (_, i) => inputIds.length + i));
    assertEquals(await answerOf({ ...greedy, stoppingCriteria: [(tokenIds, promptLength) => tokenIds.length - promptLength === 3] }), plain.slice(0, 3));
  });

  await t.step("processors and criteria see a padded row with its padding", async () => {
    const rows: number[][] = [];
    await model.generate({
      inputIds: [[4085, 4085, ...inputIds]],
      attentionMask: [[0, 0, ...inputIds.map(() => 1)]],
      ...greedy,
      maxNewTokens: 2,
      logitsProcessor: (tokenIds) => void rows.push([...tokenIds]),
    });
    assertEquals(rows, [[4085, 4085, ...inputIds], [4085, 4085, ...inputIds, plain[0]]]);
  });

  await t.step("a repetition penalty counts no padding in front, whoever applies it", async () => {
    const padded = { inputIds: [[plain[0], plain[1], ...inputIds]], attentionMask: [[0, 0, ...inputIds.map(() => 1)]] };
    for (const more of [{}, { suppressTokens: [0] }]) {
      const options = { ...greedy, ...more, repetitionPenalty: 1.5 }, { sequences: [sequence] } = await model.generate({ ...padded, ...options });
      assertEquals(sequence.slice(inputIds.length + 2), await answerOf(options));
    }
  });

  await t.step("the most time", async () => {
    const startMs = performance.now(), answer = await answerOf({ doSample: false, maxNewTokens: 2000, maxTime: 0.1, eosTokenId: [] });
    assert(performance.now() - startMs < 5000 && answer.length < 1900, `${answer.length} tokens`);
  });

  await t.step("same seed, same text, in any company", async () => {
    const sampled = { doSample: true, temperature: 1, seed: 3, maxNewTokens: 12 } as const;
    const alone = await answerOf(sampled);
    const [other, again] = await Promise.all([answerOf({ ...sampled, seed: 4 }), answerOf(sampled), answerOf(greedy)]);
    assertEquals(again, alone);
    assert(other.join() !== alone.join());
    const { sequences } = await model.generate({ inputIds, ...sampled, numReturnSequences: 3 });
    assertEquals(sequences.map((sequence) => sequence.slice(inputIds.length))[0], alone);
    assertEquals(new Set(sequences.map((sequence) => sequence.join())).size, 3);
  });

  await t.step("scores of sampling are those after temperature and top-k", async () => {
    const { scores, logits } = await model.generate({
      inputIds,
      doSample: true,
      temperature: 0.5,
      topK: 4,
      topP: 1,
      maxNewTokens: 2,
      returnDictInGenerate: true,
      outputScores: true,
      outputLogits: true,
    });
    const kept = [...scores![0].data.keys()].filter((id) => scores![0].data[id] > -Infinity);
    assertEquals(kept.length, 4);
    for (const id of kept) assertAlmostEquals(scores![0].data[id], logits![0].data[id] * 2, 1e-4);
  });

  await t.step("the padding token is padding unless there is a mask", async () => {
    const padded = [[4085, 4085, 4085, ...inputIds]];
    const { sequences } = await model.generate({ inputIds: padded, ...greedy, padTokenId: 4085, eosTokenId: 4087 });
    assertEquals(sequences[0].slice(padded[0].length), plain);
  });

  await t.step("warnings", async () => {
    const rows = [inputIds, inputIds], mask = [inputIds.map(() => 1), [...inputIds.map(() => 1).slice(1), 0]];
    const [warning] = await warningsOf(() => model.generate({ inputIds: rows, attentionMask: mask, ...greedy }));
    assert(warning.includes("padded on the right"), warning);
    const [both] = await warningsOf(() => answerOf({ ...greedy, maxLength: 20 }));
    assert(both.includes("maxNewTokens wins"), both);
    assertEquals(await warningsOf(() => answerOf(greedy)), []);
  });

  await t.step("the context's end ends an answer", async () => {
    const prompt = Array(2040).fill(inputIds[0]);
    const { sequences } = await model.generate({ inputIds: prompt, doSample: false, maxNewTokens: 100, eosTokenId: [] });
    assertEquals(sequences[0].length, 2048);
  });

  const wrong: [Record<string, unknown>, new (...args: never[]) => Error, string][] = [
    [{ inputIds: [] }, TypeError, "at least one token"],
    [{ inputIds: [[1], [1, 2]] }, TypeError, "pad them on the left"],
    [{ inputIds, attentionMask: [1] }, TypeError, `attentionMask must be [1, ${inputIds.length}]`],
    [{ inputIds, attentionMask: inputIds.map(() => 0) }, RangeError, "leaves no token"],
    [{ inputIds: [9999] }, RangeError, "9999"],
    [{ inputIds: Array(2048).fill(1), maxNewTokens: 1 }, RangeError, "2048"],
    [{ inputIds, maxTokens: 5 }, TypeError, "Unknown generation option maxTokens"],
    [{ inputIds, numBeams: 2 }, TypeError, "numBeams = 2 is not supported yet"],
    [{ inputIds, assistantModel: model }, TypeError, "assistantModel yet"],
    [{ inputIds, stopStrings: "" }, RangeError, "must not be empty"],
    [{ inputIds: [inputIds, inputIds], streamer: new TextStreamer(tokenizer) }, TypeError, "A streamer takes one sequence, got 2"],
    [{ inputIds, generationConfig: { topP: 2 }, doSample: true }, RangeError, "topP"],
  ];
  for (const [options, errorClass, message] of wrong) {
    await t.step(`refused: ${message}`, async () => {
      const { inputIds, ...rest } = options;
      await assertRejects(() => model.generate({ ...rest, inputIds: inputIds as number[] }), errorClass as typeof Error, message);
    });
  }
  await t.step("after all of that", async () => assertEquals(await answerOf(greedy), plain));
});
