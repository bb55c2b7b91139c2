import { assert } from "@std/assert";
import type { Format } from "../engine/formats.ts";
import type { Buffer } from "../engine/program.ts";
import { format as formatProgram } from "../engine/program.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import type { GpuExecutable } from "../gpu/executable.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";
import { runOracle } from "./oracle.ts";
import { randomBatch, randomConfig, type RandomSequence, randomWeights } from "./random_model.ts";
import { cacheRounding, gpuStepTolerance } from "./tolerances.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { CacheType } from "../engine/backend.ts";

interface Case {
  name: string;
  config?: Partial<SmolLM3Config>;
  format?: Format;
  cacheType?: CacheType;
  blockSize?: number;
  steps?: RandomSequence[][];
}

/** Whole super-blocks of 256 values in every row. */
const wide = { hiddenSize: 256, intermediateSize: 256, numAttentionHeads: 4, headDim: 64 };
/** Widths of odd numbers of blocks of 64. */
const odd = { hiddenSize: 320, intermediateSize: 448, headDim: 16 };
const tall = [[{ past: 0, fresh: 70 }], [{ past: 70, fresh: 3 }]];
const cases: Case[] = [
  {
    name: "f32, GQA 2, two sequences, then both one token further",
    steps: [[{ past: 0, fresh: 5 }, { past: 0, fresh: 9 }], [{ past: 5, fresh: 1 }, { past: 9, fresh: 1 }]],
  },
  { name: "bf16, MHA", format: "bf16", config: { numKeyValueHeads: 4 } },
  { name: "f16, MQA, biases, gelu", format: "f16", config: { numKeyValueHeads: 1, attentionBias: true, mlpBias: true, hiddenAct: "gelu" } },
  { name: "q8_0, odd heads", format: "q8_0", config: { headDim: 24, hiddenAct: "gelu_pytorch_tanh" } },
  { name: "q4_0, untied, relu, window", format: "q4_0", config: { tieWordEmbeddings: false, hiddenAct: "relu", slidingWindows: [0, 6] } },
  { name: "q4_1, GQA 8, head 128", format: "q4_1", config: { numAttentionHeads: 8, numKeyValueHeads: 1, headDim: 128 } },
  { name: "q4_1, an odd number of blocks, q, k and v joined", format: "q4_1", config: { hiddenSize: 160 } },
  { name: "q4_k, biases", format: "q4_k", config: { ...wide, attentionBias: true, mlpBias: true } },
  { name: "q5_k", format: "q5_k", config: wide },
  { name: "q6_k, untied", format: "q6_k", config: { ...wide, tieWordEmbeddings: false } },
  { name: "nf4, head 128, 70 rows", format: "nf4", config: { ...wide, headDim: 128, numKeyValueHeads: 1, intermediateSize: 192 }, steps: tall },
  { name: "nf4_bf16, biases, odd numbers of blocks", format: "nf4_bf16", config: { ...odd, attentionBias: true, mlpBias: true } },
  { name: "nf4_f16, untied, gelu", format: "nf4_f16", config: { ...odd, tieWordEmbeddings: false, hiddenAct: "gelu" } },
  { name: "fp4, MHA, 130 rows", format: "fp4", config: { numKeyValueHeads: 4, intermediateSize: 192 }, steps: [[{ past: 0, fresh: 130 }]] },
  { name: "fp4_bf16, MQA, 70 rows", format: "fp4_bf16", config: { ...wide, numKeyValueHeads: 1 }, steps: tall },
  { name: "fp4_f16, rows that fill no group", format: "fp4_f16", config: { ...odd, numAttentionHeads: 5, numKeyValueHeads: 5, headDim: 64, vocabSize: 131 } },
  { name: "f16 cache, block size 1", cacheType: "f16", blockSize: 1 },
  { name: "bf16 cache, block size 64, 70 rows", cacheType: "bf16", blockSize: 64, steps: [[{ past: 0, fresh: 70 }], [{ past: 70, fresh: 3 }]] },
  { name: "130 rows of bf16, heads of 32", format: "bf16", cacheType: "f16", config: { hiddenSize: 128, headDim: 32 }, steps: [[{ past: 0, fresh: 130 }]] },
  {
    name: "K cut into parts",
    format: "bf16",
    config: { hiddenSize: 640, intermediateSize: 1312, headDim: 32, attentionBias: true, mlpBias: true },
    steps: [[{ past: 0, fresh: 20 }], [{ past: 20, fresh: 1 }, { past: 0, fresh: 100 }]],
  },
  { name: "36 layers", config: { numHiddenLayers: 36, hiddenSize: 32, intermediateSize: 48, headDim: 8 } },
  { name: "widths that divide nothing", config: { hiddenSize: 50, intermediateSize: 37, headDim: 6, vocabSize: 131 } },
  { name: "a matrix of few long rows", config: { hiddenSize: 4, intermediateSize: 400, numAttentionHeads: 1, numKeyValueHeads: 1, headDim: 4, vocabSize: 9 } },
  {
    name: "few rows in all",
    config: { numHiddenLayers: 1, hiddenSize: 4, intermediateSize: 2, numAttentionHeads: 1, numKeyValueHeads: 1, headDim: 4, vocabSize: 9 },
  },
];

const backend = hasAdapter ? await createGpuBackend() : undefined;
for (const one of cases) {
  gpuTest(`gpu: every step equals the oracle: ${one.name}`, async () => {
    const config = randomConfig(one.config), program = smolLM3(config), blockSize = one.blockSize ?? 16, blocks = Math.ceil(160 / blockSize);
    const weights = randomWeights(program, () => one.format ?? "f32"), cacheType = one.cacheType ?? "f32";
    const options = {
      maxRows: 144,
      maxOutputs: 144,
      maxSequences: 4,
      maxContext: 160,
      blockSize,
      blocks,
      cacheType,
      activations: "float32" as const,
      formats: weights.formats,
      threads: 1,
    };
    const executable = await backend!.compile(program, options) as GpuExecutable;
    for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
    await executable.finishWeights();
    const caches = new Map(program.caches.map((cache) => [cache, new Float32Array(blocks * blockSize * 2 * cache.kvHeads * cache.headDim)]));
    for (const sequences of one.steps ?? [[{ past: 0, fresh: 11 }, { past: 0, fresh: 1 }], [{ past: 11, fresh: 4 }, { past: 1, fresh: 1 }]]) {
      const batch = randomBatch(config, sequences, { blockSize, blocks });
      const buffers = program.buffers.map((buffer) => new Float32Array((buffer.rows === "tokens" ? batch.tokens : batch.outputRows).length * buffer.cols));
      const after: { step: number; want: Float32Array }[] = [];
      runOracle(
        program,
        batch,
        blockSize,
        (bound) => bound.kind === "buffer" ? buffers[bound.id] : bound.kind === "cache" ? caches.get(bound)! : weights.values.get(bound)!,
        (step) => {
          const out = program.steps[step].binds.at(-1);
          if (out?.kind === "buffer") after.push({ step, want: buffers[out.id].slice() });
        },
      );
      for (const [step] of program.steps.entries()) {
        await executable.executeSteps(batch, step, step + 1);
        const expected = after.find((entry) => entry.step === step);
        if (!expected) continue;
        const out = program.steps[step].binds.at(-1) as Buffer;
        const got = await executable.read(out.name, expected.want.length / out.cols);
        const size = expected.want.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
          worst = expected.want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0);
        const allowed = (gpuStepTolerance + 4 * cacheRounding[cacheType]) * size;
        assert(worst <= allowed, `${program.steps[step].label}: off by ${worst} of ${size}, allowed ${allowed}\n${formatProgram(program).split("\n")[step]}`);
      }
    }
    executable.close();
  });
}
