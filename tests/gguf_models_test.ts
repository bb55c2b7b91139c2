/**
 * GGUF files of many tensor types against outputs of Transformers on the exactly dequantized weights.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import { backends, type ModelBackend, oracle } from "./model_backends.ts";
import { convertedLogitsTolerance, goldenLogitsTolerance } from "./tolerances.ts";

const folder = new URL("fixtures/gguf/", import.meta.url);
const golden = JSON.parse(Deno.readTextFileSync(new URL("golden.json", folder)));
const mixed = ["mixed_legacy", "mixed_k", "mixed_i"];

async function load(name: string, backend: ModelBackend) {
  const options = { ...await backend.options(), activations: "float32", cacheType: "f32" } as const;
  return await AutoModelForCausalLM.fromPretrained(new URL(`${name}.gguf`, folder).pathname, options);
}

for (const backend of backends) {
  for (const name of mixed) {
    Deno.test(`${name} on ${backend.name} gives the logits and tokens of Transformers`, async () => {
      const { input_ids: inputIds, logits_last: expected, greedy_16: greedy } = golden[name];
      await using model = await load(name, backend);
      const { logits } = await model.forward({ inputIds, logitsToKeep: 1 });
      const worst = logits.data.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
      const isConverted = backend !== oracle;
      assert(worst <= (isConverted ? convertedLogitsTolerance : goldenLogitsTolerance), `logits differ by ${worst}`);
      const { sequences } = await model.generate({ inputIds, maxNewTokens: 16, doSample: false, eosTokenId: [] });
      assertEquals(sequences[0].slice(inputIds.length), greedy);
    });
  }
  if (backend === oracle) continue;
  Deno.test(`smollm3-tiny-Q4_K_M on ${backend.name} gives the tokens of Transformers`, async () => {
    await using model = await load("smollm3-tiny-Q4_K_M", backend);
    for (const { input_ids: inputIds, greedy_exact_dequantized: greedy } of golden["smollm3-tiny-Q4_K_M"].cases) {
      const { sequences } = await model.generate({ inputIds, maxNewTokens: 48, doSample: false, eosTokenId: [4087, 4085] });
      assertEquals(sequences[0].slice(inputIds.length), greedy);
    }
  });
}

const smolLm2 = Deno.env.get("SMOLDER_SMOLLM2");
Deno.test({
  name: `SmolLM2-135M gives the tokens, logits and losses of Transformers${smolLm2 === undefined ? " (skipped: SMOLDER_SMOLLM2 names no file)" : ""}`,
  ignore: smolLm2 === undefined,
  async fn() {
    const { cases } = JSON.parse(Deno.readTextFileSync(new URL("fixtures/transformers/smollm2_135m_golden.json", import.meta.url)));
    await using model = await AutoModelForCausalLM.fromPretrained(smolLm2!, { activations: "float32", cacheType: "f32" });
    const tokenizer = await model.tokenizer();
    for (const { prompt, input_ids: inputIds, output_ids: expected, text, last_logits_top10: top, loss_of_whole: wholeLoss } of cases) {
      assertEquals(tokenizer.encode(prompt), inputIds);
      const { sequences: [sequence] } = await model.generate({ inputIds, maxNewTokens: 40, doSample: false });
      assertEquals(sequence.slice(inputIds.length), expected);
      assertEquals(tokenizer.decode(expected), text);
      const { logits } = await model.forward({ inputIds, logitsToKeep: 1 });
      for (const [id, value] of top) assert(Math.abs(logits.data[id] - value) < goldenLogitsTolerance, `logit ${id} is ${logits.data[id]}, expected ${value}`);
      const { loss } = await model.forward({ inputIds: sequence, labels: sequence });
      assert(Math.abs(loss! - wholeLoss) < goldenLogitsTolerance, `the loss is ${loss}, expected ${wholeLoss}`);
    }
  },
});
