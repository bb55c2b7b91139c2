/** `forward` of the embedded model and of a tiny one: inputs, chunks, mistakes. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import type { ForwardInputs } from "../api/forward.ts";
import type { LoadOptions } from "../api/load_model.ts";
import { oracle } from "./model_backends.ts";

const tiny = (name: string) => new URL(`fixtures/tiny_models/${name}`, import.meta.url).pathname;
const load = async (options: LoadOptions = {}, name = "base") =>
  await AutoModelForCausalLM.fromPretrained(tiny(name), { ...await oracle.options(), dtype: "float32", ...options });
const inputIds = [[5, 9, 33, 12, 90, 7, 8, 64, 3, 3, 21], [11, 9, 33, 12, 90, 7, 8, 64, 3, 4, 22]];

Deno.test("chunks of any size give the same logits", async () => {
  await using whole = await load();
  const { logits } = await whole.forward({ inputIds });
  for (const options of [{ maxNumBatchedTokens: 4, maxNumSeqs: 1 }, { maxNumBatchedTokens: 3, maxNumSeqs: 3, blockSize: 1 }, { blockSize: 64 }]) {
    await using model = await load(options);
    assertEquals((await model.forward({ inputIds })).logits, logits);
  }
});

Deno.test("logitsToKeep: the last n, a list, all", async () => {
  await using model = await load();
  const { logits: { data, shape } } = await model.forward({ inputIds });
  assertEquals(shape, [2, 11, 128]);
  const row = (b: number, column: number) => data.subarray((b * 11 + column) * 128, (b * 11 + column + 1) * 128);
  const join = (...columns: [number, number][]) => Float32Array.from(columns.flatMap(([b, column]) => [...row(b, column)]));
  assertEquals((await model.forward({ inputIds, logitsToKeep: 0 })).logits.data, data);
  assertEquals((await model.forward({ inputIds, logitsToKeep: 2 })).logits, { data: join([0, 9], [0, 10], [1, 9], [1, 10]), shape: [2, 2, 128] });
  assertEquals((await model.forward({ inputIds, logitsToKeep: [7, 1, 7] })).logits.data, join([0, 7], [0, 1], [0, 7], [1, 7], [1, 1], [1, 7]));
  assertEquals((await model.forward({ inputIds: inputIds[1], logitsToKeep: 1 })).logits, { data: join([1, 10]), shape: [1, 1, 128] });
});

Deno.test("padding is not seen, wherever it is", async () => {
  await using model = await load();
  const [row] = inputIds;
  const { logits: { data: alone } } = await model.forward({ inputIds: row });
  const padded = await model.forward({ inputIds: [...row, 0, 0], attentionMask: [...row.map(() => 1), 0, 0] });
  assertEquals(padded.logits.data.subarray(0, alone.length), alone);
  assert(padded.logits.data.subarray(alone.length).every((value) => value === 0));
  const gap = await model.forward({ inputIds: [5, 9, 1, 33], attentionMask: [1, 1, 0, 1], positionIds: [0, 1, 0, 2] });
  assertEquals(gap.logits.data.slice(3 * 128), alone.slice(2 * 128, 3 * 128));
});

Deno.test("calls at once, and beside a generation, change nothing, and no block is lost", async () => {
  await using model = await load({ cacheBytes: 2 ** 16 });
  const { logits } = await model.forward({ inputIds });
  const answer = await model.generate({ inputIds, maxNewTokens: 8 });
  const [first, second, beside] = await Promise.all([model.forward({ inputIds }), model.forward({ inputIds }), model.generate({ inputIds, maxNewTokens: 8 })]);
  assertEquals([first.logits, second.logits, beside], [logits, logits, answer]);
  for (let i = 0; i < 20; i++) await model.forward({ inputIds, logitsToKeep: 1 });
});

const wrong: [string, Record<string, unknown>, new (...args: never[]) => Error, string][] = [
  ["nothing", {}, TypeError, "exactly one of inputIds and inputsEmbeds"],
  ["empty", { inputIds: [] }, TypeError, "at least one token"],
  ["unequal rows", { inputIds: [[1, 2], [3]] }, TypeError, "inputIds must be [2, 2], got [2, 2 or 1]"],
  ["an unknown token", { inputIds: [1, 128] }, RangeError, "inputIds[0][1] is 128, expected a token id from 0 to 127"],
  ["a mask of another shape", { inputIds: [1, 2], attentionMask: [1] }, TypeError, "attentionMask must be [1, 2]"],
  ["embeddings of another size", { inputsEmbeds: { data: new Float32Array(6), shape: [1, 2, 3] } }, TypeError, "inputsEmbeds must be [batch, columns, 64]"],
  ["a bad column", { inputIds: [1, 2], logitsToKeep: [2] }, RangeError, "columns from 0 to 1"],
  ["a bad number of columns", { inputIds: [1, 2], logitsToKeep: -1 }, RangeError, "logitsToKeep"],
  ["labels and logitsToKeep", { inputIds: [1, 2], labels: [1, 2], logitsToKeep: 1 }, TypeError, "leave one of the two out"],
  ["a bad label", { inputIds: [1, 2], labels: [1, 500] }, RangeError, "labels[0][1] is 500"],
  ["a long text", { inputIds: Array(65).fill(1) }, RangeError, "Cannot run 65 tokens: the KV cache has room for 64"],
  ["a cache", { inputIds: [1], pastKeyValues: {} }, TypeError, "pastKeyValues yet"],
  ["hidden states", { inputIds: [1], outputHiddenStates: true }, TypeError, "outputHiddenStates yet"],
  ["attentions", { inputIds: [1], outputAttentions: true }, TypeError, "outputAttentions yet"],
];
for (const [name, inputs, errorClass, message] of wrong) {
  Deno.test(`forward refuses ${name}`, async () => {
    await using model = await load();
    await assertRejects(() => model.forward(inputs as ForwardInputs), errorClass as typeof Error, message);
    assertEquals((await model.forward({ inputIds: [1], logitsToKeep: 1 })).logits.shape, [1, 1, 128]);
  });
}

Deno.test("forward refuses gaps in a model with a sliding window", async () => {
  await using model = await load({}, "sliding");
  await assertRejects(() => model.forward({ inputIds: [1, 2, 3], attentionMask: [1, 0, 1] }), TypeError, "sliding window yet");
  assertEquals((await model.forward({ inputIds: [1, 2, 3], attentionMask: [0, 1, 1] })).logits.shape, [1, 3, 128]);
});

Deno.test("a disposed model refuses everything", async () => {
  const model = await load();
  const pending = model.generate({ inputIds, maxNewTokens: 30 }).catch((error) => error.message);
  await model.dispose();
  await model.dispose();
  assertEquals(await pending, "The model is disposed");
  await assertRejects(() => model.forward({ inputIds }), Error, "The model is disposed");
  await assertRejects(() => model.generate({ inputIds }), Error, "The model is disposed");
});
