/**
 * What the WebGPU backend does when the device is small, lacks something, or fails.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import { loadModel } from "../api/load_model.ts";
import { type CompileOptions, DeviceError } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { Format } from "../engine/formats.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import { type Gpu, requestGpu } from "../gpu/device.ts";
import { DeviceCalls } from "../gpu/device_calls.ts";
import { PersistentDecode } from "../gpu/persistent_decode.ts";
import { gpuTest } from "./gpu_test_case.ts";
import { oracleBackend } from "./oracle_backend.ts";
import { randomBatch, randomConfig, randomWeights } from "./random_model.ts";
import { gpuStepTolerance } from "./tolerances.ts";

const shape = { blockSize: 16, blocks: 7 };

/** Logits of a random model: of 11 rows and then of 3 more. */
async function logitsOf(backend: Awaited<ReturnType<typeof createGpuBackend>> | typeof oracleBackend, config: SmolLM3Config, format: Format) {
  const program = smolLM3(config), isOracle = backend === oracleBackend, weights = randomWeights(program, () => format);
  const executable = await backend.compile(program, optionsOf(weights.formats));
  if (isOracle) {
    for (const weight of program.weights) {
      const values = weights.values.get(weight)!;
      let at = 0;
      for (const { tensor, rows } of weight.parts) {
        const count = weight.rows === 1 ? rows : rows * weight.cols;
        executable.writeRows(tensor, 0, new Uint8Array(values.slice(at, at + count).buffer));
        at += count;
      }
    }
  } else for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
  await executable.finishWeights();
  const all: number[] = [];
  for (const fresh of [{ past: 0, fresh: 11 }, { past: 11, fresh: 3 }]) all.push(...await executable.execute(randomBatch(config, [fresh], shape)));
  executable.close();
  return all;
}

function optionsOf(formats: ReadonlyMap<string, Format>, more: Partial<CompileOptions> = {}): CompileOptions {
  const sizes = { maxRows: 16, maxOutputs: 16, maxSequences: 2, maxContext: 64, ...shape };
  return { ...sizes, cacheType: "f32", activations: "float32", formats, threads: 1, ...more };
}

function assertAlike(got: number[], want: number[]): void {
  const size = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0);
  assertEquals(got.length, want.length);
  assert(worst <= 5 * gpuStepTolerance * size, `off by ${worst} of ${size}`);
}

const spans: { name: string; format: Format; bindingBytes: number; config: Partial<SmolLM3Config> }[] = [
  { name: "f32", format: "f32", bindingBytes: 24_576, config: { headDim: 8, vocabSize: 131 } },
  {
    name: "q4_0, a last chunk of 3 rows",
    format: "q4_0",
    bindingBytes: 24_576,
    config: { numHiddenLayers: 1, hiddenSize: 256, headDim: 8, vocabSize: 227, tieWordEmbeddings: false },
  },
];
for (const { name, format, bindingBytes, config: overrides } of spans) {
  gpuTest(`gpu: weights and caches that span bindings of ${bindingBytes} bytes give the oracle's logits: ${name}`, async () => {
    const config = randomConfig(overrides), backend = await createGpuBackend({ bindingBytes });
    assertAlike(await logitsOf(backend, config, format), await logitsOf(oracleBackend, config, format));
    backend.gpu.device.destroy();
  });
}

for (const activations of ["float32", "int8"] as const) {
  gpuTest(`gpu: workgroups of 256 threads and 32 KiB are enough: ${activations}`, async () => {
    const limits = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256, maxComputeWorkgroupStorageSize: 32_768 };
    const backend = await createGpuBackend({ limits }), config = randomConfig({ hiddenSize: 64, intermediateSize: 64 }), program = smolLM3(config);
    const { formats, bytes } = randomWeights(program, () => "q4_0"), sizes = { maxRows: 160, maxOutputs: 160, blocks: 16, maxContext: 256, activations };
    const executable = await backend.compile(program, optionsOf(formats, sizes));
    for (const [tensor, data] of bytes) executable.writeRows(tensor, 0, data);
    await executable.finishWeights();
    // What a row gives must not depend on the kernel that many rows choose.
    const many = (await executable.execute(randomBatch(config, [{ past: 0, fresh: 130 }], { blockSize: 16, blocks: 16 }))).slice(0, 20 * config.vocabSize);
    const some = (await executable.execute(randomBatch(config, [{ past: 0, fresh: 20 }], { blockSize: 16, blocks: 16 }))).slice();
    const one = (await executable.execute(randomBatch(config, [{ past: 0, fresh: 1 }], { blockSize: 16, blocks: 16 }))).slice();
    assertAlike([...some], [...many]);
    assertAlike([...one], [...many.subarray(0, config.vocabSize)]);
    executable.close();
    backend.gpu.device.destroy();
  });
}

gpuTest("gpu: without subgroups, coherent storage, f16 and timestamps the plain path is taken", async () => {
  const backend = await createGpuBackend({ without: ["subgroups", "wgpu-memory-decoration-coherent", "shader-f16", "timestamp-query"] });
  const { subgroups, coherent, timestamps, device } = backend.gpu, config = randomConfig({ numHiddenLayers: 1 });
  assertEquals([subgroups, coherent, timestamps], [false, false, false]);
  assertAlike(await logitsOf(backend, config, "q8_0"), await logitsOf(oracleBackend, config, "q8_0"));
  device.destroy();
});

gpuTest("gpu: what does not fit is refused with numbers, before any weight is written", async () => {
  const backend = await createGpuBackend({ bindingBytes: 65_536 }), { device } = backend.gpu;
  const program = smolLM3(randomConfig()), { formats } = randomWeights(program, () => "f32");
  const compile = (more: Partial<CompileOptions>) => backend.compile(program, optionsOf(formats, more));
  await assertRejects(() => compile({ blocks: 1000 }), DeviceError, "tokens (maxModelLen, cacheBytes)");
  await assertRejects(() => compile({ maxOutputs: 4096 }), DeviceError, "compute fewer tokens in a step (maxNumBatchedTokens)");
  // The device says that its memory is used up.
  device.popErrorScope = () => Promise.resolve(new GPUOutOfMemoryError("not enough memory left"));
  const { message } = await assertRejects(() => compile({}), DeviceError) as Error;
  assertMatch(
    message,
    /Cannot allocate \d+\.\d MiB on .* \(weights .* MiB, KV cache .* MiB, activations .* MiB\): not enough memory left; quantize the weights, or ask for shorter/,
  );
  Reflect.deleteProperty(device, "popErrorScope");
  (await compile({})).close();
  device.destroy();
});

gpuTest("gpu: the estimate is what compiling and decoding take, but for the walk where a device or a program cannot have it", async () => {
  const backend = await createGpuBackend({}), { device } = backend.gpu, program = smolLM3(randomConfig()), weights = randomWeights(program, () => "q4_0");
  let bytes = 0;
  device.createBuffer = (descriptor) => {
    bytes += descriptor.size;
    return GPUDevice.prototype.createBuffer.call(device, descriptor);
  };
  const options = optionsOf(weights.formats, { activations: "int8", cacheType: "f16" }), executable = await backend.compile(program, options);
  for (const [tensor, data] of weights.bytes) executable.writeRows(tensor, 0, data);
  await executable.finishWeights();
  const batch = randomBatch(randomConfig(), [{ past: 5, fresh: 1 }, { past: 2, fresh: 1 }], shape);
  const sampling = [0, 0.9].map((temperature) => ({ temperature, topK: 5, topP: 0.9, minP: 0, seed: 1n, position: 0 }));
  await executable.decode!({ batch, sampling, steps: 2, rope: batch.rope });
  const over = backend.estimate(program, options) - bytes, walk = PersistentDecode.bytes(backend.gpu, program, options);
  assert(over >= 0 && over < walk + (64 << 10), `the estimate is ${over} bytes above the ${bytes} that were taken`);
  device.destroy();
});

gpuTest("gpu: a shader error shows file, line and caret", async () => {
  const { pipelines, device } = await requestGpu();
  const broken = { name: "broken", parts: ["rms_norm", "batch"], access: "urrw", constants: { cols: 4, eps: 1e-6 } };
  const transform = (sources: ReadonlyMap<string, string>) =>
    Array.from(sources, ([part, text]) => `// ${part}.wgsl\n${text.replace("let base = ", "let base: f32 = ")}`).join("\n");
  const { message } = await assertRejects(() => pipelines.get({ ...broken, transform }), DeviceError) as Error;
  const line = 1 + Deno.readTextFileSync(new URL("../gpu/kernels/rms_norm.wgsl", import.meta.url)).split("\n").findIndex((text) => text.includes("let base"));
  const [first, source, caret] = message.split("\n");
  assert(first.startsWith(`Cannot compile broken: rms_norm.wgsl:${line}:`), message);
  assertEquals(source.indexOf("base"), caret.indexOf("^"), message);
  device.destroy();
});

gpuTest("gpu: a kernel that does not compile rejects the first batch that needs it, a command buffer that the device refuses its batch", async () => {
  const backend = await createGpuBackend({}), { device, pipelines } = backend.gpu, config = randomConfig({ numHiddenLayers: 1 }), program = smolLM3(config);
  const weights = randomWeights(program, () => "f32"), executable = await backend.compile(program, optionsOf(weights.formats));
  for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
  await executable.finishWeights();
  const batch = randomBatch(config, [{ past: 0, fresh: 5 }], shape), { get } = pipelines;
  pipelines.get = (kernel) => get.call(pipelines, { ...kernel, transform: () => "// layout.wgsl\nfn main( {" });
  await assertRejects(() => executable.execute(batch), DeviceError, "Cannot compile embed embed: ");
  pipelines.get = get;
  const logits = (await executable.execute(batch)).slice();
  device.createCommandEncoder = () => {
    const encoder = GPUDevice.prototype.createCommandEncoder.call(device);
    encoder.pushDebugGroup("never ends");
    return encoder;
  };
  await assertRejects(() => executable.execute(batch), DeviceError, "refused a batch: ");
  Reflect.deleteProperty(device, "createCommandEncoder");
  assertEquals(await executable.execute(batch), logits);
  device.destroy();
});

gpuTest("gpu: a lost device rejects what is pending and what comes, and the model can be loaded again", async () => {
  const sizes = { device: "webgpu", maxModelLen: 128, maxNumSeqs: 2, dtype: "float32" } as const;
  const model = await AutoModelForCausalLM.fromPretrained("embedded", sizes), { gpu } = await createGpuBackend(); // the one that models share
  const pending = model.generate({ inputIds: [[1, 2, 3]], maxNewTokens: 100, eosTokenId: [], doSample: false });
  const rejected = assertRejects(() => pending, DeviceError);
  await new Promise((resolve) => setTimeout(resolve, 100));
  gpu.device.destroy();
  await rejected;
  await assertRejects(() => model.generate({ inputIds: [[1]], maxNewTokens: 1 }), DeviceError);
  await model.dispose();
  await using again = await AutoModelForCausalLM.fromPretrained("embedded", sizes);
  assertEquals((await again.generate({ inputIds: [[1, 2, 3]], maxNewTokens: 2, eosTokenId: [], doSample: false })).sequences[0].length, 5);
  assertMatch(again.deviceReason, /; one sequence takes many dispatches a token: ./);
});

gpuTest("gpu: closing while a batch is in flight rejects it or lets it end, and later batches reject", async () => {
  const backend = await createGpuBackend(), config = randomConfig(), program = smolLM3(config), weights = randomWeights(program, () => "f32");
  const executable = await backend.compile(program, optionsOf(weights.formats));
  for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
  await executable.finishWeights();
  const batch = randomBatch(config, [{ past: 0, fresh: 5 }], shape), flight = executable.execute(batch).catch((error) => error);
  executable.close();
  const result = await flight;
  assert(result instanceof DeviceError || result.length === 5 * config.vocabSize);
  await assertRejects(() => executable.execute(batch), DeviceError, "closed");
  executable.close();
});

gpuTest("gpu: a weight that was not written in full is named", async () => {
  const backend = await createGpuBackend(), program = smolLM3(randomConfig()), { formats, bytes } = randomWeights(program, () => "f32");
  const executable = await backend.compile(program, optionsOf(formats)), [missing] = [...bytes.keys()].slice(-1);
  for (const [tensor, data] of bytes) if (tensor !== missing) executable.writeRows(tensor, 0, data);
  await assertRejects(() => executable.finishWeights(), TypeError, missing);
  executable.close();
});

gpuTest("gpu: device auto takes no adapter that computes on the CPU, and says so", async () => {
  const { isFallbackAdapter } = (await navigator.gpu.requestAdapter())!.info;
  const { backend, deviceReason, executable } = await loadModel("embedded", { threads: 1, maxModelLen: 64 });
  assertEquals(backend.device, isFallbackAdapter ? "wasm" : "webgpu");
  assertMatch(deviceReason, isFallbackAdapter ? /auto took the CPU: .* computes on the CPU/ : /auto took the GPU/);
  executable.close();
});

gpuTest("gpu: the command line runs on webgpu and exits cleanly", async () => {
  const args = [
    "run",
    "-A",
    "--no-check",
    "cli/main.ts",
    "generate",
    "--device",
    "webgpu",
    "--prompt",
    "Once",
    "--temperature",
    "0",
    "--max-new-tokens",
    "3",
    "--json",
  ];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: new URL("..", import.meta.url), env: { NO_COLOR: "1" } }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  const { device, tokenIds } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals([device, tokenIds.length], ["webgpu", 3]);
});

/** Calls on a device without a GPU behind it. */
function pretendedCalls(failed: Promise<never>) {
  const device = { pushErrorScope() {}, popErrorScope: () => Promise.resolve(null) };
  return new DeviceCalls({ device, name: "a device", failed } as unknown as Gpu);
}

Deno.test("device calls: a failure rejects the call under way and each one after it", async () => {
  const { promise, reject } = Promise.withResolvers<never>(), calls = pretendedCalls(promise);
  assertEquals(await calls.guard(() => calls.scoped(() => 5)), 5);
  const pending = assertRejects(() => calls.guard(() => new Promise(() => {})), DeviceError, "it is lost");
  reject(new DeviceError("it is lost"));
  await pending;
  for (let i = 0; i < 2; i++) await assertRejects(() => calls.guard(() => new Promise(() => {})), DeviceError, "it is lost");
});

Deno.test("device calls: a call that ends well leaves nothing behind with the device", async () => {
  const failed = new Promise<never>(() => {}), then = failed.then.bind(failed);
  let reactions = 0;
  failed.then = (fulfilled, rejected) => {
    reactions++;
    return then(fulfilled, rejected);
  };
  const calls = pretendedCalls(failed), before = reactions;
  for (let i = 0; i < 3; i++) await calls.guard(() => calls.scoped(() => i));
  assertEquals([before, reactions], [1, 1]);
});
