/**
 * Checkpoints that bitsandbytes packed, against outputs of Transformers on the exactly dequantized weights.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import { fixturePath } from "./load_model.ts";
import { backends } from "./model_backends.ts";
import { goldenLogitsTolerance } from "./tolerances.ts";

for (const backend of backends) {
  for (const name of ["nf4_double", "fp4"]) {
    Deno.test(`bitsandbytes: ${name} on ${backend.name} gives the logits and tokens of Transformers`, async () => {
      const folder = fixturePath(`bitsandbytes/${name}`), options = { ...await backend.options(), cacheType: "f32" } as const;
      const { input_ids: inputIds, logits_last: expected, greedy_16: greedy } = JSON.parse(await Deno.readTextFile(`${folder}/golden.json`));
      await using model = await AutoModelForCausalLM.fromPretrained(folder, options);
      const { logits } = await model.forward({ inputIds, logitsToKeep: 1 });
      const worst = logits.data.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
      assert(worst <= goldenLogitsTolerance, `logits differ by ${worst}`);
      const { sequences } = await model.generate({ inputIds, maxNewTokens: 16, doSample: false, eosTokenId: [] });
      assertEquals(sequences[0].slice(inputIds.length), greedy);
    });
  }
}
