import { assertEquals, assertRejects } from "@std/assert";
import { AutoConfig } from "../api/auto_config.ts";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import { fixturePath } from "./load_model.ts";

/** A folder with nothing but a `config.json`. */
async function withConfig(change: Record<string, unknown>, run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const config = JSON.parse(await Deno.readTextFile(fixturePath("tiny_models/base/config.json")));
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...config, ...change }));
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a configuration is read without weights and tokenizer", async () => {
  await withConfig({ num_hidden_layers: 4 }, async (folder) => assertEquals((await AutoConfig.fromPretrained(folder)).headDim, 16));
  await withConfig({ hidden_act: "tanh" }, (folder) => assertRejects(() => AutoConfig.fromPretrained(folder), RangeError, "hidden_act").then(() => {}));
  const gguf = await AutoConfig.fromPretrained(fixturePath("gguf/smollm3-tiny-Q4_K_M.gguf"));
  assertEquals([gguf.vocabSize, (await AutoConfig.fromPretrained("embedded")).vocabSize], [4096, 4096]);
});

Deno.test("packed weights are refused by the name of their key; their configuration can be read", async () => {
  const packed = { quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true } };
  await withConfig(packed, async (folder) => {
    const message = 'config.json: weights packed as quantization_config (quant_method "bitsandbytes") says are not supported yet';
    await assertRejects(() => AutoModelForCausalLM.fromPretrained(folder), TypeError, message);
    assertEquals((await AutoConfig.fromPretrained(folder)).vocabSize, 128);
  });
  await withConfig({ quantization_config: null }, async (folder) => {
    await assertRejects(() => AutoModelForCausalLM.fromPretrained(folder), Deno.errors.NotFound, "model.safetensors");
  });
});
