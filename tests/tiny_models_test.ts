/**
 * Random tiny checkpoints, one for each configuration, against outputs of Transformers in float32.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { AutoModelForCausalLM, type CausalLM } from "../api/causal_lm.ts";
import { readSafetensors } from "./read_safetensors.ts";
import { backends, oracle } from "./model_backends.ts";
import { goldenLogitsTolerance } from "./tolerances.ts";

const folder = new URL("fixtures/tiny_models/", import.meta.url);

/** What `golden.json` of a causal model holds. */
interface Golden {
  class: string;
  input_ids: number[][];
  attention_mask: number[][];
  labels: number[][];
  loss: number;
  logits_shape: number[];
  logits_row0_last4: number[];
  logits_row1_last2: number[];
  position_ids: number[][];
  logits_with_position_ids_last: number[];
  logits_inputs_embeds_times_1_5_last: number[];
  generate_greedy: number[][];
}

const read = (name: string): Golden => JSON.parse(Deno.readTextFileSync(new URL(`${name}/golden.json`, folder)));
const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => read(name).class === "SmolLM3ForCausalLM").sort();

Deno.test("there are 19 causal models", () => assertEquals(names.length, 19));

for (const backend of backends) {
  for (const name of names) {
    Deno.test(`${name} on ${backend.name} gives the logits and tokens of Transformers`, async () => {
      const golden = read(name), source = new URL(name, folder).pathname;
      await using model = await AutoModelForCausalLM.fromPretrained(source, { ...await backend.options(), dtype: "float32" });
      await checkForward(model, golden);
      await checkOtherInputs(model, name, golden);
      const { input_ids: inputIds, attention_mask: attentionMask } = golden;
      const { sequences } = await model.generate({ inputIds, attentionMask, maxNewTokens: 20, doSample: false });
      const answers = sequences.map((sequence) => sequence.slice(inputIds[0].length));
      // Transformers takes dynamic frequencies from the longest row; here they belong to each request, and the other row may go on for longer.
      if (name === "rope_dynamic") assertEquals(answers[0].slice(0, golden.generate_greedy[0].length), golden.generate_greedy[0]);
      else assertEquals(answers, golden.generate_greedy);
    });
  }
}

Deno.test("the loss is the mean over the labels that count", async () => {
  const { input_ids: inputIds, attention_mask: attentionMask, labels, loss: theirs } = read("base");
  await using model = await AutoModelForCausalLM.fromPretrained(new URL("base", folder).pathname, { ...await oracle.options(), dtype: "float32" });
  // Transformers counts 17 labels, one of them against the logits of a padding column. What those give was computed apart: 6.782079380.
  const { loss } = await model.forward({ inputIds, attentionMask, labels });
  assertAlmostEquals(loss!, (17 * theirs - 6.78207938) / 16, goldenLogitsTolerance);
  const positionIds = inputIds[1].map((_, column) => column);
  const alone = await model.forward({ inputIds: inputIds[1].slice(5), labels: labels[1].slice(5), positionIds: positionIds.slice(5) });
  const padded = await model.forward({ inputIds: inputIds[1], attentionMask: attentionMask[1], labels: labels[1] });
  assertEquals(padded.loss, alone.loss);
});

async function checkForward(model: CausalLM, golden: Golden): Promise<void> {
  const { input_ids: inputIds, attention_mask: attentionMask } = golden;
  const { logits } = await model.forward({ inputIds, attentionMask });
  assertEquals(logits.shape, golden.logits_shape);
  const [, columns, vocabSize] = logits.shape, row = columns * vocabSize;
  assertClose(logits.data.subarray(row - 4 * vocabSize, row), golden.logits_row0_last4, "row 0");
  assertClose(logits.data.subarray(2 * row - 2 * vocabSize), golden.logits_row1_last2, "row 1");
  const isMasked = attentionMask.flat().map((mask) => mask === 0);
  isMasked.forEach((masked, at) => masked && assert(logits.data.subarray(at * vocabSize, (at + 1) * vocabSize).every((value) => value === 0)));
}

async function checkOtherInputs(model: CausalLM, name: string, golden: Golden): Promise<void> {
  const inputIds = golden.input_ids.slice(0, 1), columns = inputIds[0].length;
  const placed = await model.forward({ inputIds, positionIds: golden.position_ids, logitsToKeep: 1 });
  assertClose(placed.logits.data, golden.logits_with_position_ids_last, "position ids");
  const table = readSafetensors(new URL(`${name}/model.safetensors`, folder), "model.embed_tokens.weight");
  const hiddenSize = table.shape[1], data = new Float32Array(columns * hiddenSize);
  inputIds[0].forEach((id, i) => data.set(table.data.subarray(id * hiddenSize, (id + 1) * hiddenSize).map((value) => value * 1.5), i * hiddenSize));
  const embedded = await model.forward({ inputsEmbeds: { data, shape: [1, columns, hiddenSize] }, logitsToKeep: [columns - 1] });
  assertClose(embedded.logits.data, golden.logits_inputs_embeds_times_1_5_last, "inputs embeds");
}

function assertClose(actual: Float32Array, expected: number[], what: string): void {
  assertEquals(actual.length, expected.length, what);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
  assert(worst <= goldenLogitsTolerance, `${what}: logits differ by ${worst}`);
}
