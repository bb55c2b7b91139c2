/** Attention over contexts so long that they are cut into slices: single rows and tiles of rows, head sizes from 8 to 256, groups of 1 to 8 query heads. */
import { assert } from "@std/assert";
import type { CacheType } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import type { GpuExecutable } from "../gpu/executable.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";
import { runOracle } from "./oracle.ts";
import { randomBatch, randomConfig, randomWeights } from "./random_model.ts";
import { cacheRounding, gpuStepTolerance } from "./tolerances.ts";

const cases: { heads: [number, number, number]; cacheType: CacheType; blockSize: number; config?: Partial<SmolLM3Config> }[] = [
  { heads: [4, 1, 128], cacheType: "f16", blockSize: 16 },
  { heads: [6, 2, 24], cacheType: "f32", blockSize: 1 },
  { heads: [2, 2, 256], cacheType: "bf16", blockSize: 64, config: { slidingWindows: [531] } },
  { heads: [8, 1, 64], cacheType: "f16", blockSize: 16 },
  { heads: [4, 2, 8], cacheType: "f32", blockSize: 16, config: { slidingWindows: [300] } },
];
const backend = hasAdapter ? await createGpuBackend() : undefined;

for (const { heads: [heads, kvHeads, headDim], cacheType, blockSize, config: more } of cases) {
  gpuTest(`gpu: attention over 600 keys: ${heads} heads of ${headDim}, ${kvHeads} of keys in ${cacheType}`, async () => {
    const sizes = { hiddenSize: 32, intermediateSize: 32, vocabSize: 64, numHiddenLayers: 1, numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim };
    const config = randomConfig({ ...sizes, ...more }), program = smolLM3(config), weights = randomWeights(program, () => "f32"), maxContext = 640;
    const blocks = maxContext / blockSize, attention = program.steps.findIndex(({ op }) => op === "attention");
    const options = { maxRows: 600, maxOutputs: 1, maxSequences: 2, maxContext, blockSize, blocks, cacheType, formats: weights.formats, threads: 1 };
    const executable = await backend!.compile(program, { ...options, activations: "float32" }) as GpuExecutable;
    for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
    await executable.finishWeights();
    const cache = new Float32Array(blocks * blockSize * 2 * kvHeads * headDim), slices: number[] = [];
    for (const [past, fresh] of [[0, 600], [600, 1], [601, 20], [621, 3]]) {
      const batch = randomBatch(config, [{ past, fresh }], { blockSize, blocks, outputs: [0] });
      const buffers = program.buffers.map(({ rows, cols }) => new Float32Array((rows === "tokens" ? fresh : 1) * cols));
      let want = new Float32Array();
      runOracle(
        program,
        batch,
        blockSize,
        (bound) => bound.kind === "buffer" ? buffers[bound.id] : bound.kind === "cache" ? cache : weights.values.get(bound)!,
        (step) => {
          if (step === attention) want = buffers.find((_, i) => program.buffers[i].name === "attended")!.slice();
        },
      );
      const { counts } = await executable.prepare(batch);
      slices.push(counts.singles > 0 ? counts.slices : counts.tileSlices);
      await executable.executeSteps(batch, 0, attention + 1);
      const got = await executable.read("attended", fresh), size = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const worst = want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0),
        allowed = (gpuStepTolerance + 4 * cacheRounding[cacheType]) * size;
      assert(worst <= allowed, `${fresh} rows after ${past} in ${slices.at(-1)} slices: off by ${worst} of ${size}, allowed ${allowed}`);
    }
    assert(slices.every((count, i) => i === 0 || count > 1), `contexts were cut into ${slices.join(", ")} slices`);
    executable.close();
  });
}
