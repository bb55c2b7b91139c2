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

Deno.test("weights packed by other means are refused by the name of their key; their configuration can be read", async () => {
  const refused = async (quantization: unknown, error: ErrorConstructor, message: string) =>
    await withConfig({ quantization_config: quantization }, async (folder) => {
      await assertRejects(() => AutoModelForCausalLM.fromPretrained(folder), error, message);
      assertEquals((await AutoConfig.fromPretrained(folder)).vocabSize, 128);
    });
  const packed = (what: string) => `config.json: weights packed as quantization_config${what} says are not supported`;
  await refused({ quant_method: "gptq", bits: 4 }, TypeError, packed(' (quant_method "gptq")'));
  await refused({ bits: 4 }, TypeError, packed(" (quant_method undefined)"));
  await refused([], TypeError, packed(""));
  await refused({ quant_method: "bitsandbytes", load_in_8bit: true }, TypeError, packed(" (load_in_8bit: LLM.int8)"));
  await refused({ quant_method: "bitsandbytes" }, TypeError, packed(" (bitsandbytes without load_in_4bit)"));
  await refused({ load_in_4bit: true, load_in_8bit: true }, RangeError, "quantization_config.load_in_4bit and load_in_8bit must not both be true");
  await refused({ load_in_4bit: "yes" }, TypeError, "quantization_config.load_in_4bit must be true or false");
  await refused({ load_in_4bit: true, bnb_4bit_quant_type: "int4" }, RangeError, 'bnb_4bit_quant_type must be nf4 or fp4, got "int4"');
  await withConfig({ quantization_config: null }, async (folder) => {
    await assertRejects(() => AutoModelForCausalLM.fromPretrained(folder), Deno.errors.NotFound, "model.safetensors");
  });
});
