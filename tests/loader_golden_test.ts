/** Files to logits on the oracle: what the loaders and RoPE make of a checkpoint is what Transformers makes of it. */
import { assert, assertEquals } from "@std/assert";
import { fixturePath, OracleModel } from "./load_model.ts";
import { goldenLogitsTolerance } from "./tolerances.ts";

const readJson = (path: string) => JSON.parse(Deno.readTextFileSync(fixturePath(path)));

function assertLogits(actual: Float32Array, expected: readonly number[], what: string): void {
  assertEquals(actual.length, expected.length, what);
  const worst = actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i])), 0);
  assert(worst <= goldenLogitsTolerance, `${what}: logits differ by ${worst}`);
}

const causal = Array.from(Deno.readDirSync(fixturePath("tiny_models")), ({ name }) => name).filter((name) => !/classification|regression|answering/.test(name));

Deno.test("there are 19 causal tiny models", () => assertEquals(causal.length, 19));

for (const name of causal.sort()) {
  Deno.test(`logits of tiny_models/${name} are those of Transformers`, async () => {
    const golden = readJson(`tiny_models/${name}/golden.json`), tokens: number[] = golden.input_ids[0], rows = tokens.length;
    const model = await OracleModel.load(fixturePath(`tiny_models/${name}`), rows);
    assertLogits(await model.logits(tokens, [rows - 4, rows - 3, rows - 2, rows - 1]), golden.logits_row0_last4, "row 0");
    assertLogits(await model.logits(tokens, [rows - 1], golden.position_ids[0]), golden.logits_with_position_ids_last, "position_ids");
    model.close();
  });
}

for (const name of ["mixed_legacy", "mixed_k", "mixed_i"]) {
  Deno.test(`logits of gguf/${name}.gguf are those of its dequantized weights`, async () => {
    const golden = readJson("gguf/golden.json")[name], tokens: number[] = golden.input_ids;
    const model = await OracleModel.load(fixturePath(`gguf/${name}.gguf`), tokens.length);
    assertLogits(await model.logits(tokens, [tokens.length - 1]), golden.logits_last, name);
    model.close();
  });
}

Deno.test("smollm3-tiny as Q4_K_M continues a prompt as its dequantized weights do", async () => {
  const { input_ids: prompt, greedy_exact_dequantized: answer } = readJson("gguf/golden.json")["smollm3-tiny-Q4_K_M"].cases[1];
  const model = await OracleModel.load(fixturePath("gguf/smollm3-tiny-Q4_K_M.gguf"), 32);
  const tokens = [...prompt, ...answer].slice(0, 32), rows = tokens.map((_, i) => i).slice(prompt.length - 1, -1);
  const logits = await model.logits(tokens, rows), vocabSize = logits.length / rows.length;
  const greedy = rows.map((_, i) => logits.subarray(i * vocabSize, (i + 1) * vocabSize)).map((row) => row.indexOf(Math.max(...row)));
  assertEquals(greedy, answer.slice(0, rows.length));
  assertEquals(model.checkpoint.config.eosTokenIds, [4087]);
  model.close();
});
