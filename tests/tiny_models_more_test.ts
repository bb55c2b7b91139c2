/** Tiny checkpoints whose sizes divide nothing and whose configurations combine several things, against outputs of Transformers in float32. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { AutoModelForCausalLM, type CausalLM } from "../api/causal_lm.ts";
import type { ForwardInputs } from "../api/forward.ts";
import { fixturePath } from "./load_model.ts";
import { backends } from "./model_backends.ts";
import { goldenLogitsTolerance } from "./tolerances.ts";

/** What `golden.json` holds: three texts, each seen whole, with padding, and with gaps. */
interface Golden {
  class: string;
  input_ids: number[][];
  logits_row0_last8: number[];
  left_mask: number[][];
  right_mask: number[][];
  holes_mask: number[][];
  position_ids: number[][];
  logits_left_last3: number[][];
  logits_right_last3: number[][];
  logits_holes_last3: number[][];
  logits_position_ids_last3: number[][];
  loss: number | null;
  generate_one_by_one: number[][];
  generate_batch?: number[][];
  generate_penalty: number[];
}

const names = [...Deno.readDirSync(fixturePath("tiny_models_more"))].map(({ name }) => name).sort();

Deno.test("there are 7 more tiny models", () => assertEquals(names.length, 7));

for (const backend of backends) {
  for (const name of names) {
    Deno.test(`${name} on ${backend.name} gives the logits and tokens of Transformers`, async () => {
      const folder = fixturePath(`tiny_models_more/${name}`), golden: Golden = JSON.parse(await Deno.readTextFile(`${folder}/golden.json`));
      await using model = await AutoModelForCausalLM.fromPretrained(folder, { ...await backend.options(), dtype: "float32" });
      assertEquals(`${model.config.modelType}ForCausalLM`.toLowerCase(), golden.class.toLowerCase());
      await checkForward(model, golden);
      await checkGenerate(model, golden);
    });
  }
}

async function checkForward(model: CausalLM, golden: Golden): Promise<void> {
  const { input_ids: inputIds, position_ids: positionIds } = golden, all = inputIds.map((row) => row.map(() => 1));
  const whole = await model.forward({ inputIds: inputIds[0], logitsToKeep: 8 });
  assertClose(whole.logits.data, golden.logits_row0_last8, "whole");
  const masked = (mask: number[][]): ForwardInputs => ({ inputIds: inputIds.map((row, b) => row.map((id, i) => id * mask[b][i])), attentionMask: mask });
  await checkRows(model, masked(golden.left_mask), golden.left_mask, golden.logits_left_last3, "padded on the left");
  await checkRows(model, masked(golden.right_mask), golden.right_mask, golden.logits_right_last3, "padded on the right");
  await checkRows(model, { inputIds, positionIds }, all, golden.logits_position_ids_last3, "position ids");
  const holes = { inputIds, attentionMask: golden.holes_mask };
  if (model.config.slidingWindows.every((window) => window === 0)) await checkRows(model, holes, golden.holes_mask, golden.logits_holes_last3, "gaps");
  else await assertRejects(() => model.forward(holes), TypeError, "sliding window");
  if (golden.loss !== null) {
    const labels = inputIds.map((row, b) => row.map((id, i) => golden.right_mask[b][i] === 1 ? id : -100));
    assertAlmostEquals((await model.forward({ ...masked(golden.right_mask), labels })).loss!, golden.loss, goldenLogitsTolerance);
  }
}

/** Compares the logits of the last three visible columns of each row. */
async function checkRows(model: CausalLM, inputs: ForwardInputs, mask: number[][], expected: number[][], what: string): Promise<void> {
  const { logits: { data, shape: [, columns, vocabSize] } } = await model.forward(inputs);
  mask.forEach((row, b) => {
    const visible = row.flatMap((seen, column) => seen === 1 ? [column] : []).slice(-3);
    const actual = visible.flatMap((column) => Array.from(data.subarray((b * columns + column) * vocabSize).subarray(0, vocabSize)));
    assertClose(Float32Array.from(actual), expected[b], `${what}, row ${b}`);
  });
}

async function checkGenerate(model: CausalLM, golden: Golden): Promise<void> {
  const { input_ids: inputIds, left_mask: attentionMask } = golden, options = { maxNewTokens: 40, doSample: false } as const;
  const answers = async (rows: number[][], mask: number[][], more = {}) => {
    const { sequences } = await model.generate({ inputIds: rows, attentionMask: mask, ...options, ...more });
    return sequences.map((sequence) => sequence.slice(rows[0].length));
  };
  const alone = await Promise.all(inputIds.map((row, b) => answers([row], [attentionMask[b]])));
  assertEquals(alone.flat(), golden.generate_one_by_one);
  const together = await answers(inputIds, attentionMask);
  // Frequencies that depend on the length belong to each request, so that company changes nothing.
  assertEquals(together, golden.generate_batch ?? padded(golden.generate_one_by_one));
  const penalties = { repetitionPenalty: 1.4, noRepeatNgramSize: 2, minNewTokens: 36 };
  assertEquals(await answers([inputIds[0]], [inputIds[0].map(() => 1)], penalties), [golden.generate_penalty]);
}

function padded(rows: number[][]): number[][] {
  const longest = Math.max(...rows.map((row) => row.length));
  return rows.map((row) => [...row, ...new Array(longest - row.length).fill(0)]);
}

function assertClose(actual: Float32Array, expected: number[], what: string): void {
  assertEquals(actual.length, expected.length, what);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
  assert(worst <= goldenLogitsTolerance, `${what}: logits differ by ${worst}`);
}
