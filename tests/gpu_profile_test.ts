import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DeviceError } from "../engine/backend.ts";
import { type Format, rowBytes } from "../engine/formats.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import type { GpuOptions } from "../gpu/device.ts";
import type { GpuExecutable } from "../gpu/executable.ts";
import { measureBandwidth, profileBatch, profileWalk } from "../gpu/profile.ts";
import { gpuTest } from "./gpu_test_case.ts";
import { randomBatch, randomConfig, randomWeights } from "./random_model.ts";

const config = randomConfig({ vocabSize: 96, intermediateSize: 128 }), program = smolLM3(config), blockSize = 16, blocks = 4;

async function load(format: Format, gpu?: GpuOptions): Promise<GpuExecutable> {
  const weights = randomWeights(program, () => format), backend = await createGpuBackend(gpu);
  const executable = await backend.compile(program, {
    maxRows: 32,
    maxOutputs: 32,
    maxSequences: 4,
    maxContext: blocks * blockSize,
    blockSize,
    blocks,
    cacheType: "f16",
    activations: "int8",
    formats: weights.formats,
    threads: 1,
  });
  for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
  await executable.finishWeights();
  return executable as GpuExecutable;
}

const decode = (sequences: number) => randomBatch(config, Array.from({ length: sequences }, () => ({ past: 9, fresh: 1 })), { blockSize, blocks });

for (const format of ["f32", "bf16", "q8_0", "q4_0"] as const) {
  gpuTest(`gpu: a profile has every dispatch of a step, and the weights as they are stored: ${format}`, async () => {
    const executable = await load(format), batch = decode(1), { recorded } = await executable.prepare(batch);
    const { rows, stepUs } = await profileBatch(executable, batch);
    assert(stepUs > 0);
    assertEquals(rows.reduce((sum, { count }) => sum + count, 0), recorded.length);
    for (const { kernel, timeUs, bytes } of rows) assert(timeUs >= 0 && bytes > 0, `${kernel}: ${timeUs} us, ${bytes} bytes`);
    assertEquals(rows.filter(({ kernel }) => kernel.startsWith("mlp.down linear")).map(({ count }) => count), [config.numHiddenLayers]);
    // What a second row adds is activations; without it the linears have the weights left.
    const linears = async (sequences: number) => {
      const { rows } = await profileBatch(executable, decode(sequences));
      return rows.filter(({ kernel }) => / linear_.*rows$/.test(kernel)).reduce((sum, { bytes, operations }) => [sum[0] + bytes, sum[1] + operations], [0, 0]);
    };
    const [[bytes, operations], [more, twice]] = [await linears(1), await linears(2)];
    const matrices = program.weights.filter(({ rows, name }) => rows > 1 && (name !== "embed" || config.tieWordEmbeddings));
    assertEquals(2 * bytes - more, matrices.reduce((sum, { rows, cols }) => sum + rows * rowBytes(format, cols), 0));
    assertEquals([operations, twice], [1, 2].map((count) => matrices.reduce((sum, { rows, cols }) => sum + 2 * count * rows * cols, 0)));
    executable.close();
  });
}

gpuTest("gpu: a profile of a prompt counts keys once and the pairs of rows and keys that see each other", async () => {
  const executable = await load("f32"), { rows } = await profileBatch(executable, randomBatch(config, [{ past: 6, fresh: 10 }], { blockSize, blocks }));
  const attention = rows.find(({ kernel }) => kernel === "attn attention_tiles")!, { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = config;
  const pairs = Array.from({ length: 10 }, (_, i) => 7 + i).reduce((sum, keys) => sum + keys), layers = config.numHiddenLayers;
  assertEquals(attention.operations, layers * 4 * pairs * heads * headDim);
  assertEquals(attention.bytes, layers * headDim * (16 * kvHeads * 2 * 2 + 10 * heads * 8));
  executable.close();
});

gpuTest("gpu: what a step takes without each kernel only where it is asked for", async () => {
  const executable = await load("f32"),
    marginal = await profileBatch(executable, decode(2), { marginal: true }),
    plain = await profileBatch(executable, decode(2));
  assertEquals(marginal.rows.map(({ kernel }) => kernel), plain.rows.map(({ kernel }) => kernel));
  for (const { marginalUs } of marginal.rows) assert(marginalUs! <= marginal.stepUs);
  assert(plain.rows.every((row) => !("marginalUs" in row)));
  executable.close();
});

gpuTest("gpu: the memory's speed, and the walk where there is one", async () => {
  const executable = await load("q4_0");
  assert(await measureBandwidth(executable.gpu) > 1e6);
  const walk = await profileWalk(executable, decode(1), new Float32Array(7 * config.headDim));
  assertEquals(walk === undefined, executable.whyNotPersistent !== undefined);
  executable.close();
});

gpuTest("gpu: no profile without timestamps", async () => {
  const executable = await load("f32", { without: ["timestamp-query"] });
  await assertRejects(() => profileBatch(executable, decode(1)), DeviceError, "grants no timestamp queries");
  executable.close();
});

gpuTest("bench on a gpu says where the time goes", async () => {
  const bench = async (...more: string[]) => {
    const args = [
      "run",
      "-A",
      "--no-check",
      "cli/main.ts",
      "bench",
      "--device",
      "webgpu",
      "--random",
      "smollm3-tiny",
      "-p",
      "8",
      "-n",
      "2",
      "-r",
      "1",
      ...more,
    ];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: new URL("..", import.meta.url), env: { NO_COLOR: "1" } }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
  const results = JSON.parse(await bench("--json"));
  assertEquals(results.map(({ test }: { test: string }) => test), ["pp8", "tg2"]);
  for (const { profile: { bytesPerSecond, steps }, nPrompt } of results) {
    assert(bytesPerSecond > 0);
    const { nTokens, nPast, rows, stepUs } = steps.at(-1);
    assertEquals([nTokens, nPast], nPrompt > 0 ? [8, 0] : [1, 1]);
    assert(stepUs > 0);
    const head = rows.find(({ kernel }: { kernel: string }) => kernel.startsWith("logits linear"));
    assertEquals(head.count, 1);
    assert(head.timeUs > 0 && head.bytes > 4096 * 256 * 2 && head.operations === 2 * 4096 * 256);
  }
  const text = await bench();
  assertStringIncludes(text, "pp8, 8 tokens after 0: ");
  assertStringIncludes(text, "| mlp.gateUp linear_");
});
