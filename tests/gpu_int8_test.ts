/** Int8 activations on the GPU against exact ones: every kernel that a row count chooses stays near. */
import { assert } from "@std/assert";
import type { Format } from "../engine/formats.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import { gpuTest } from "./gpu_test_case.ts";
import { randomBatch, randomConfig, randomWeights } from "./random_model.ts";
import { int8ActivationsTolerance } from "./tolerances.ts";

for (const format of ["q4_0", "q4_1", "q8_0", "q4_k", "q5_k", "q6_k"] as Format[]) {
  gpuTest(`gpu: int8 activations stay near exact ones: ${format}`, async () => {
    const isK = format.endsWith("_k"), sizes = isK ? { hiddenSize: 256, intermediateSize: 256 } : { hiddenSize: 128, intermediateSize: 192 };
    const config = randomConfig({ ...sizes, numAttentionHeads: isK ? 8 : 4, headDim: 32, vocabSize: 160 }), program = smolLM3(config);
    const weights = randomWeights(program, () => format), backend = await createGpuBackend();
    const run = async (activations: "int8" | "float32") => {
      const executable = await backend.compile(program, {
        maxRows: 160,
        maxOutputs: 160,
        maxSequences: 4,
        maxContext: 256,
        blockSize: 16,
        blocks: 32,
        cacheType: "f32",
        activations,
        formats: weights.formats,
        threads: 1,
      });
      for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
      await executable.finishWeights();
      const results: Float32Array[] = [];
      for (const fresh of [2, 12, 33, 130]) {
        results.push((await executable.execute(randomBatch(config, [{ past: 0, fresh }], { blockSize: 16, blocks: 32, seed: fresh }))).slice());
      }
      executable.close();
      return results;
    };
    const near = await run("int8"), exact = await run("float32");
    exact.forEach((want, i) => {
      const square = (values: Float32Array) => Math.hypot(...values.map((value) => value));
      const error = square(want.map((value, j) => value - near[i][j])) / square(want);
      assert(error > 0 && error < int8ActivationsTolerance, `rows ${want.length / config.vocabSize}: relative error ${error}`);
    });
  });
}
