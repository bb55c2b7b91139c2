import { assert, assertEquals } from "@std/assert";
import type { CacheType, CompileOptions } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { Format } from "../engine/formats.ts";
import { type Buffer, format as formatProgram, type Weight } from "../engine/program.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createWasmBackend } from "../wasm/backend.ts";
import type { WasmExecutable } from "../wasm/executable.ts";
import { runOracle } from "./oracle.ts";
import { randomBatch, randomConfig, type RandomSequence, randomWeights } from "./random_model.ts";
import { cacheRounding, wasmInt8StepTolerance, wasmStepTolerance } from "./tolerances.ts";

interface Case {
  name: string;
  config?: Partial<SmolLM3Config>;
  format?: (weight: Weight, part: number) => Format;
  cacheType?: CacheType;
  blockSize?: number;
  activations?: CompileOptions["activations"];
  steps?: RandomSequence[][];
}

const of = (format: Format) => () => format;
/** Widths of 3 and 5 blocks of 64 values, rows that fill no group. */
const odd = { hiddenSize: 192, intermediateSize: 320, numAttentionHeads: 3, numKeyValueHeads: 1, headDim: 64, attentionBias: true };
const cases: Case[] = [
  {
    name: "f32, GQA 2, two sequences, then both one token further",
    steps: [[{ past: 0, fresh: 5 }, { past: 0, fresh: 9 }], [{ past: 5, fresh: 1 }, { past: 9, fresh: 1 }]],
  },
  { name: "bf16, MHA", format: of("bf16"), config: { numKeyValueHeads: 4 } },
  { name: "f16, MQA, biases, gelu", format: of("f16"), config: { numKeyValueHeads: 1, attentionBias: true, mlpBias: true, hiddenAct: "gelu" } },
  { name: "q8_0, odd heads", format: of("q8_0"), config: { headDim: 24, hiddenAct: "gelu_pytorch_tanh" } },
  { name: "q4_0, untied, relu, window", format: of("q4_0"), config: { tieWordEmbeddings: false, hiddenAct: "relu", slidingWindows: [0, 6] } },
  { name: "q4_1, GQA 8, head 128", format: of("q4_1"), config: { numAttentionHeads: 8, numKeyValueHeads: 1, headDim: 128 } },
  { name: "nf4, nf4_bf16 and nf4_f16, odd numbers of blocks", format: (_, part) => (["nf4", "nf4_bf16", "nf4_f16"] as const)[part], config: odd },
  {
    name: "fp4, fp4_bf16 and fp4_f16, 70 rows",
    format: (_, part) => (["fp4", "fp4_bf16", "fp4_f16"] as const)[part],
    config: odd,
    steps: [[{ past: 0, fresh: 70 }]],
  },
  { name: "GQA 3, heads of 10", config: { numAttentionHeads: 6, numKeyValueHeads: 2, headDim: 10 } },
  { name: "f16 cache, block size 1", cacheType: "f16", blockSize: 1 },
  { name: "bf16 cache, block size 64, 70 rows", cacheType: "bf16", blockSize: 64, steps: [[{ past: 0, fresh: 70 }], [{ past: 70, fresh: 3 }]] },
  { name: "widths that divide nothing", config: { hiddenSize: 50, intermediateSize: 37, headDim: 6, vocabSize: 131 } },
  { name: "parts of different formats", format: (_, part) => (["q8_0", "f32", "q4_0"] as const)[part], config: { attentionBias: true } },
  { name: "q8_0, int8 activations", format: of("q8_0"), activations: "int8" },
  { name: "q4_0 and bf16, int8 activations", format: (_, part) => part === 1 ? "bf16" : "q4_0", activations: "int8" },
];
const machines = [{ build: "threads", threads: 1 }, { build: "threads", threads: 2 }, { build: "simd", threads: 1 }] as const;
const backends = { threads: await createWasmBackend({ build: "threads" }), simd: await createWasmBackend({ build: "simd" }) };

for (const one of cases) {
  for (const { build, threads } of machines) {
    Deno.test(`wasm: every step equals the oracle: ${one.name}, ${build} build, ${threads} threads`, async () => {
      const config = randomConfig(one.config), program = smolLM3(config), blockSize = one.blockSize ?? 16, blocks = Math.ceil(160 / blockSize);
      const weights = randomWeights(program, one.format ?? of("f32")), cacheType = one.cacheType ?? "f32", activations = one.activations ?? "float32";
      const sizes = { maxRows: 96, maxOutputs: 96, maxSequences: 4, maxContext: 128, blockSize, blocks };
      const executable = await backends[build].compile(program, { ...sizes, cacheType, activations, formats: weights.formats, threads }) as WasmExecutable;
      for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
      await executable.finishWeights();
      const caches = new Map(program.caches.map((cache) => [cache, new Float32Array(blocks * blockSize * 2 * cache.kvHeads * cache.headDim)]));
      const tolerance = (activations === "int8" ? wasmInt8StepTolerance : wasmStepTolerance) + 4 * cacheRounding[cacheType];
      for (const sequences of one.steps ?? [[{ past: 0, fresh: 11 }, { past: 0, fresh: 1 }], [{ past: 11, fresh: 4 }, { past: 1, fresh: 1 }]]) {
        const batch = randomBatch(config, sequences, { blockSize, blocks });
        const buffers = program.buffers.map((buffer) => new Float32Array((buffer.rows === "tokens" ? batch.tokens : batch.outputRows).length * buffer.cols));
        const outputs = new Map<number, Float32Array>();
        runOracle(
          program,
          batch,
          blockSize,
          (bound) => bound.kind === "buffer" ? buffers[bound.id] : bound.kind === "cache" ? caches.get(bound)! : weights.values.get(bound)!,
          (step) => {
            const out = outputOf(step);
            outputs.set(step, buffers[out.id].slice());
          },
        );
        for (const [step, { label }] of program.steps.entries()) {
          await executable.executeSteps(batch, step, step + 1);
          const want = outputs.get(step)!, out = outputOf(step), got = await executable.read(out.name, want.length / out.cols);
          const size = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const worst = want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0);
          assert(worst <= tolerance * size, `${label}: off by ${worst} of ${size}, allowed ${tolerance * size}\n${formatProgram(program).split("\n")[step]}`);
        }
      }
      executable.close();

      function outputOf(step: number): Buffer {
        return program.steps[step].binds.findLast((bound) => bound?.kind === "buffer") as Buffer;
      }
    });
  }
}

Deno.test("wasm: both builds offer every format", () => {
  for (const backend of Object.values(backends)) assertEquals(backend.formats.size, 15);
});
