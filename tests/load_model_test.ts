/** Options of `fromPretrained`, and loading that fails. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { AutoConfig, SmolLM3Config } from "../api/auto_config.ts";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import { loadModel, type LoadOptions } from "../api/load_model.ts";
import { type Backend, DeviceError } from "../engine/backend.ts";
import { wasmBackends } from "./model_backends.ts";
import { oracleBackend } from "./oracle_backend.ts";

const base = new URL("fixtures/tiny_models/base", import.meta.url).pathname;

Deno.test("options decide formats, activations and the KV cache", async () => {
  const of = async (options: LoadOptions) => {
    const { executable, compileOptions } = await loadModel("embedded", { ...await wasmBackends[0].options(), ...options });
    executable.close();
    const { cacheType, activations, formats, blockSize, maxContext, maxSequences } = compileOptions;
    return { cacheType, activations, table: formats.get("model.embed_tokens.weight"), blockSize, maxContext, maxSequences };
  };
  const sizes = { blockSize: 16, maxContext: 2048, maxSequences: 16 };
  assertEquals(await of({}), { cacheType: "f16", activations: "auto", table: "bf16", ...sizes });
  assertEquals(await of({ dtype: "float32" }), { cacheType: "f32", activations: "auto", table: "bf16", ...sizes });
  assertEquals(await of({ dtype: "float16", cacheType: "bf16" }), { cacheType: "bf16", activations: "auto", table: "f16", ...sizes });
  assertEquals(await of({ quantization: "q8_0" }), { cacheType: "f16", activations: "int8", table: "q8_0", ...sizes });
  assertEquals((await of({ quantization: "q4_0", activations: "float32" })).activations, "float32");
  assertEquals(await of({ maxModelLen: 100, blockSize: 4, maxNumSeqs: 3 }), {
    ...{ cacheType: "f16", activations: "auto", table: "bf16" },
    ...{ blockSize: 4, maxContext: 100, maxSequences: 3 },
  });
  assertEquals((await of({ maxNumBatchedTokens: 4 })).maxSequences, 4);
});

Deno.test("quantized weights still answer sensibly", async () => {
  const inputIds = [4086, 558, 279, 198, 455, 412, 256, 357, 359, 256, 572, 798, 13, 4087, 198, 4086, 861, 613, 483, 198];
  const answer = async (options: LoadOptions) => {
    await using model = await AutoModelForCausalLM.fromPretrained("embedded", { ...await wasmBackends[1].options(), ...options });
    return (await model.generate({ inputIds, doSample: false, maxNewTokens: 8 })).sequences[0].slice(inputIds.length);
  };
  assertEquals(await answer({ quantization: "q8_0" }), await answer({}));
  assertEquals((await answer({ quantization: "q4_0" })).length, 8);
});

Deno.test("progress goes from the first byte to the last", async () => {
  const seen: [number, number][] = [];
  const { executable } = await loadModel(base, { backend: oracleBackend, onProgress: ({ loadedBytes, totalBytes }) => seen.push([loadedBytes, totalBytes]) });
  executable.close();
  assert(seen.length > 10 && seen.every(([loaded, total], i) => loaded <= total && (i === 0 || loaded > seen[i - 1][0])));
  assertEquals(seen.at(-1)![0], seen.at(-1)![1]);
});

Deno.test("a signal ends loading", async () => {
  await assertRejects(() => loadModel(base, { backend: oracleBackend, signal: AbortSignal.abort(new RangeError("no")) }), RangeError, "no");
  const abort = new AbortController();
  const loading = loadModel(base, { backend: oracleBackend, signal: abort.signal, onProgress: () => abort.abort(new RangeError("enough")) });
  await assertRejects(() => loading, RangeError, "enough");
});

Deno.test("a cache of default size gives way on a small device, one that was asked for does not", async () => {
  const sizes: number[] = [];
  const small: Backend = {
    ...oracleBackend,
    compile(program, options) {
      sizes.push(options.blocks * options.blockSize);
      if (sizes.at(-1)! > 5000) return Promise.reject(new DeviceError("Too small"));
      return oracleBackend.compile(program, { ...options, blocks: 1 });
    },
  };
  const { schedulerOptions } = await loadModel("embedded", { backend: small });
  assertEquals([sizes, schedulerOptions.maxContext], [[32768, 16384, 8192, 4096], 2048]);
  await assertRejects(() => loadModel("embedded", { backend: small, maxModelLen: 2048 }), DeviceError, "Too small");
});

const wrong: [Record<string, unknown>, new (...args: never[]) => Error, string][] = [
  [{ devise: "wasm" }, TypeError, "Unknown load option devise"],
  [{ device: "tpu" }, TypeError, "device must be one of auto, webgpu, wasm, got tpu"],
  [{ dtype: "float64" }, TypeError, "dtype must be one of"],
  [{ quantization: { loadIn4bit: true } }, TypeError, "quantization must be one of q8_0, q4_0, nf4, fp4 or a BitsAndBytesConfig, got an object"],
  [{ threads: 0 }, RangeError, "threads must be a whole number of at least 1, got 0"],
  [{ cacheBytes: 10 }, RangeError, "A KV cache of 10 bytes holds no block"],
];
for (const [options, errorClass, message] of wrong) {
  Deno.test(`refused: ${message}`, async () => {
    await assertRejects(() => loadModel(base, { backend: oracleBackend, ...options }), errorClass as typeof Error, message);
  });
}

Deno.test("a configuration alone", async () => {
  const config = await AutoConfig.fromPretrained("embedded");
  assertEquals([config.modelType, config.numHiddenLayers, config.vocabSize], ["smollm3", 8, 4096]);
  assertEquals((await SmolLM3Config.fromPretrained(base)).hiddenSize, 64);
  const made = new SmolLM3Config({ numHiddenLayers: 4, ropeParameters: { ropeType: "yarn", ropeTheta: 5e6, factor: 2, originalMaxPositionEmbeddings: 65536 } });
  assertEquals([made.hiddenSize, made.headDim, made.noRopeLayers, made.rope.factor], [2048, 128, [1, 1, 1, 0], 2]);
  await assertRejects(async () => await Promise.resolve(new SmolLM3Config({ numAttentionHeads: 7 })), Error, "num_attention_heads");
});
