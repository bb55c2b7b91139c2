/** Int8 activations on the GPU against exact ones: every kernel that a row count chooses stays near. */
import { assert } from "@std/assert";
import type { Backend } from "../engine/backend.ts";
import type { Format } from "../engine/formats.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import { gpuTest } from "./gpu_test_case.ts";
import { oracleBackend } from "./oracle_backend.ts";
import { randomBatch, randomConfig, randomWeights } from "./random_model.ts";
import { int8ActivationsTolerance } from "./tolerances.ts";

/** Widths that are whole super-blocks of the K formats, and a K that is cut into parts. */
const narrow = { hiddenSize: 128, intermediateSize: 192 },
  whole = { hiddenSize: 256, intermediateSize: 256 },
  deep = { hiddenSize: 128, intermediateSize: 2560 };
const cases: [Format, { hiddenSize: number; intermediateSize: number }][] = [
  ["q4_0", narrow],
  ["q4_1", narrow],
  ["q8_0", narrow],
  ["q8_0", deep],
  ["q4_k", whole],
  ["q5_k", whole],
  ["q6_k", whole],
];

for (const [format, sizes] of cases) {
  gpuTest(`gpu: int8 activations stay near exact ones: ${format}, ${sizes.intermediateSize} wide`, async () => {
    const config = randomConfig({ ...sizes, numAttentionHeads: sizes.hiddenSize / 32, headDim: 32, vocabSize: 160 }), program = smolLM3(config);
    const weights = randomWeights(program, () => format), plain = new Map<string, Uint8Array>();
    for (const weight of program.weights) {
      let at = 0;
      for (const { tensor, rows } of weight.parts) {
        const count = weight.rows === 1 ? rows : rows * weight.cols;
        plain.set(tensor, new Uint8Array(weights.values.get(weight)!.slice(at, at += count).buffer));
      }
    }
    const run = async (backend: Backend, tensors: ReadonlyMap<string, Uint8Array>) => {
      const sizes = { maxRows: 160, maxOutputs: 160, maxSequences: 4, maxContext: 256, blockSize: 16, blocks: 32 };
      const executable = await backend.compile(program, { ...sizes, cacheType: "f32", activations: "int8", formats: weights.formats, threads: 1 });
      for (const [tensor, bytes] of tensors) executable.writeRows(tensor, 0, bytes);
      await executable.finishWeights();
      const results: Float32Array[] = [];
      for (const fresh of [1, 2, 3, 7, 12, 33, 130]) {
        results.push((await executable.execute(randomBatch(config, [{ past: 0, fresh }], { blockSize: 16, blocks: 32, seed: fresh }))).slice());
      }
      executable.close();
      return results;
    };
    const near = await run(await createGpuBackend(), weights.bytes), exact = await run(oracleBackend, plain);
    exact.forEach((want, i) => {
      const square = (values: Float32Array) => Math.hypot(...values.map((value) => value));
      const error = square(want.map((value, j) => value - near[i][j])) / square(want);
      assert(error > 0 && error < int8ActivationsTolerance, `rows ${want.length / config.vocabSize}: relative error ${error}`);
    });
  });
}
