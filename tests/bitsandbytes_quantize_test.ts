/**
 * Quantization to 4 bits while loading: which weights, of which type, and what is written.
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BitsAndBytesConfig, type BitsAndBytesOptions, quantizationOf } from "../api/bits_and_bytes_config.ts";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import { loadModel, type LoadOptions } from "../api/load_model.ts";
import { type Format, rowBytes } from "../engine/formats.ts";
import { openCheckpoint } from "../engine/loader/checkpoint.ts";
import { quantizeAbsmax } from "../engine/loader/double_quantization.ts";
import { planWeights } from "../engine/loader/plan_weights.ts";
import { resolveSource } from "../engine/loader/source.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createWasmBackend } from "../wasm/backend.ts";
import { loadHost } from "../wasm/host.ts";
import { fixturePath } from "./load_model.ts";
import { oracleBackend } from "./oracle_backend.ts";

const { formats } = await createWasmBackend(), { codec } = await loadHost();
const layer = "model.layers.0", query = `${layer}.self_attn.q_proj.weight`, down = `${layer}.mlp.down_proj.weight`;

async function planned(source: string, options: Pick<LoadOptions, "dtype" | "quantization">, names: readonly string[]): Promise<(Format | undefined)[]> {
  const checkpoint = await openCheckpoint(await resolveSource(source));
  const plan = planWeights(smolLM3(checkpoint.config), checkpoint, formats, { dtype: options.dtype, quantization: quantizationOf(options.quantization) });
  checkpoint.close();
  return names.map((name) => plan.get(name));
}

Deno.test("bitsandbytes: linears of layers are quantized, with the model's number type; the rest stays", async () => {
  const names = [query, down, "model.embed_tokens.weight", "model.norm.weight"];
  assertEquals(await planned("embedded", { quantization: "nf4" }, names), ["nf4_bf16", "nf4_bf16", "bf16", "f32"]);
  assertEquals(await planned("embedded", { quantization: "fp4", dtype: "float32" }, names), ["fp4", "fp4", "bf16", "f32"]);
  assertEquals(await planned("embedded", { quantization: "nf4", dtype: "float16" }, names), ["nf4_f16", "nf4_f16", "f16", "f32"]);
  // f32, of 64 x 64 and 64 x 96: rows of 96 are no whole blocks.
  assertEquals(await planned(fixturePath("tiny_models/base"), { quantization: "nf4" }, [query, down]), ["nf4", "f32"]);
  assertEquals(await planned(fixturePath("tiny_models/base"), { quantization: "nf4", dtype: "bfloat16" }, [query, down]), ["nf4_bf16", "bf16"]);
  // Packed already.
  assertEquals(await planned(fixturePath("bitsandbytes/fp4"), { quantization: "nf4" }, [query]), ["fp4_bf16"]);
});

Deno.test("bitsandbytes: modules are skipped by the beginning or the end of their name", async () => {
  const untied = fixturePath("tiny_models/untied"), names = [query, `${layer}.mlp.up_proj.weight`, "model.layers.1.mlp.up_proj.weight", "lm_head.weight"];
  const of = (llmInt8SkipModules?: string[]) => planned(untied, { quantization: new BitsAndBytesConfig({ loadIn4bit: true, llmInt8SkipModules }) }, names);
  assertEquals(await of(), ["fp4_f16", "fp4_f16", "fp4_f16", "f16"]);
  assertEquals(await of([]), ["fp4_f16", "fp4_f16", "fp4_f16", "fp4_f16"]);
  assertEquals(await of(["lm_head", "model.layers.0."]), ["f16", "f16", "fp4_f16", "f16"]);
  assertEquals(await of(["up_proj"]), ["fp4_f16", "f16", "f16", "fp4_f16"]);
});

for (const doubleQuant of [false, true]) {
  Deno.test(`bitsandbytes: what a device gets ${doubleQuant ? "with" : "without"} double quantization`, async () => {
    const written = new Map<string, Uint8Array>(), checkpoint = await openCheckpoint(await resolveSource("embedded"));
    const recorder: LoadOptions["backend"] = {
      ...oracleBackend,
      formats,
      async compile(program, options) {
        const executable = await oracleBackend.compile(program, { ...options, blocks: 1 });
        executable.writeRows = (tensor, firstRow, bytes) => {
          const before = written.get(tensor) ?? new Uint8Array(0), all = new Uint8Array(before.length + bytes.length);
          assertEquals(firstRow * rowBytes(options.formats.get(tensor)!, checkpoint.tensors.get(tensor)!.shape.at(-1)!), before.length);
          all.set(before);
          all.set(bytes, before.length);
          written.set(tensor, all);
        };
        return executable;
      },
    };
    const quantization = new BitsAndBytesConfig({ loadIn4bit: true, bnb4bitQuantType: "nf4", bnb4bitUseDoubleQuant: doubleQuant });
    await loadModel("embedded", { backend: recorder, quantization });
    for (const name of [query, down]) {
      const [rows, cols] = checkpoint.tensors.get(name)!.shape, blocks = codec.convert(await checkpoint.readRows(name, 0, rows), "bf16", "nf4_bf16", cols);
      assertEquals(written.get(name), doubleQuant ? quantizeAbsmax(blocks) : blocks);
    }
    checkpoint.close();
  });
}

Deno.test("bitsandbytes: a quantized model still answers sensibly", async () => {
  const answer = async (options: LoadOptions) => {
    await using model = await AutoModelForCausalLM.fromPretrained("embedded", { device: "wasm", ...options });
    const tokenizer = await model.tokenizer(), chat = tokenizer.applyChatTemplate([{ role: "user", content: "What is rain?" }], { addGenerationPrompt: true });
    const { sequences } = await model.generate({ ...chat, maxNewTokens: 8, doSample: false });
    return sequences[0].slice(chat.inputIds[0].length);
  };
  const exact = await answer({}), config = { loadIn4bit: true, bnb4bitQuantType: "nf4", bnb4bitUseDoubleQuant: true } as const;
  assertEquals(await answer({ quantization: "nf4" }), exact);
  assertEquals(await answer({ quantization: new BitsAndBytesConfig(config) }), exact);
});

Deno.test("bitsandbytes: a configuration has the defaults of Transformers and says what is wrong", async () => {
  const { loadIn4bit, loadIn8bit, bnb4bitQuantType, bnb4bitUseDoubleQuant, bnb4bitComputeDtype, bnb4bitQuantStorage, llmInt8SkipModules } =
    new BitsAndBytesConfig();
  assertEquals([loadIn4bit, loadIn8bit, bnb4bitQuantType, bnb4bitUseDoubleQuant], [false, false, "fp4", false]);
  assertEquals([bnb4bitComputeDtype, bnb4bitQuantStorage, llmInt8SkipModules], ["float32", "uint8", null]);
  const wrong: [unknown, string][] = [
    [{ loadIn4Bit: true }, "Unknown option loadIn4Bit of BitsAndBytesConfig, choose from loadIn4bit"],
    [{ loadIn4bit: "yes" }, 'Option loadIn4bit of BitsAndBytesConfig must be true or false, got "yes"'],
    [{ loadIn8bit: true }, "Option loadIn8bit of BitsAndBytesConfig must be false: LLM.int8 is not supported, got true"],
    [{ bnb4bitQuantType: "int4" }, 'Option bnb4bitQuantType of BitsAndBytesConfig must be one of nf4, fp4, got "int4"'],
    [{ llmInt8SkipModules: "lm_head" }, 'Option llmInt8SkipModules of BitsAndBytesConfig must be a list of names, got "lm_head"'],
  ];
  for (const [options, message] of wrong) assertThrows(() => new BitsAndBytesConfig(options as BitsAndBytesOptions), TypeError, message);
  const load = (quantization: unknown) => loadModel("embedded", { quantization } as LoadOptions);
  await assertRejects(() => load(new BitsAndBytesConfig()), TypeError, "a BitsAndBytesConfig must have loadIn4bit: true");
  await assertRejects(() => load({ loadIn4bit: true }), TypeError, "quantization must be one of q8_0, q4_0, nf4, fp4 or a BitsAndBytesConfig, got an object");
  await assertRejects(
    () => loadModel("embedded", { backend: oracleBackend, quantization: "nf4" }),
    RangeError,
    "Cannot quantize to nf4: the device multiplies with f32",
  );
  assert(formats.has("nf4"));
});
