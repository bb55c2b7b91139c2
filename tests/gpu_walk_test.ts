/**
 * The persistent walk cannot run on a software adapter, which keeps no workgroups resident; that its source fits together is checked there all the same, for every format,
 * mix of formats, cache and way of attention, and so is what it refuses. What it computes is checked on GPUs: here, in other tests, and by bench/gpu/decode.ts --compare.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CacheType, CompileOptions } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { Format } from "../engine/formats.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { type Gpu, requestGpu } from "../gpu/device.ts";
import { GpuExecutable } from "../gpu/executable.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";
import { randomConfig, randomWeights } from "./random_model.ts";

const real: Gpu | undefined = hasAdapter ? await requestGpu() : undefined;
const gpu: Gpu | undefined = real && { ...real, subgroupSize: 32, workgroups: 132 };
/** As an H100 has it. */
const maxComputeWorkgroupStorageSize = 49152;

/** Two layers of the shape that the walk knows. */
const shape = { hiddenSize: 512, intermediateSize: 768, numAttentionHeads: 4, numKeyValueHeads: 1, headDim: 128, vocabSize: 96, numHiddenLayers: 2 };

interface Case {
  readonly format: (tensor: string) => Format;
  readonly config?: Partial<SmolLM3Config>;
  readonly options?: Partial<CompileOptions>;
  readonly cacheType?: CacheType;
  readonly limits?: Partial<GPUSupportedLimits>;
  readonly workgroups?: number;
}

function compile({ format, config, options, cacheType = "f16", limits, workgroups = 132 }: Case): Promise<GpuExecutable> {
  const program = smolLM3(randomConfig({ ...shape, ...config }));
  const formats = new Map(
    program.weights.flatMap(({ parts, rows }) => parts.map(({ tensor }): [string, Format] => [tensor, rows === 1 ? "f32" : format(tensor)])),
  );
  const sizes = { maxRows: 16, maxOutputs: 1, maxSequences: 1, maxContext: 8192, blockSize: 16, blocks: 512 };
  const own: Record<PropertyKey, unknown> = { maxComputeWorkgroupStorageSize, ...limits };
  const device = { ...gpu!, workgroups, limits: new Proxy(gpu!.limits, { get: (all, name) => own[name] ?? Reflect.get(all, name) }) };
  return GpuExecutable.compile(device, program, { ...sizes, cacheType, activations: "int8", formats, threads: 1, ...options });
}

/** One token more after `past`. */
function oneToken(past: number) {
  return {
    tokens: Uint32Array.of(1 + past % 90),
    rope: Float32Array.from({ length: 128 }, (_, i) => i < 64 ? Math.cos(past) : Math.sin(past)),
    slots: Uint32Array.of(past),
    queryStarts: Uint32Array.of(0, 1),
    contextLengths: Uint32Array.of(past + 1),
    blockTables: Uint32Array.from({ length: 512 }, (_, i) => i),
    blocksPerSequence: 512,
    outputRows: Uint32Array.of(0),
  };
}

const isMore = (tensor: string) => /embed|layers\.1.*(v_proj|down_proj)/.test(tensor);
const fitting: Record<string, Case> = {
  "q4_0": { format: () => "q4_0" },
  "q4_1, 16 heads of one KV head": { format: () => "q4_1", config: { numAttentionHeads: 16 } },
  "q8_0, a bf16 cache, as many KV heads as heads": { format: () => "q8_0", cacheType: "bf16", config: { numKeyValueHeads: 4 } },
  "bf16, an untied head": { format: () => "bf16", config: { tieWordEmbeddings: false } },
  "f16": { format: () => "f16" },
  "q4_0, fewer workgroups than groups of rows": { format: () => "q4_0", workgroups: 20 },
  "q5_k": { format: () => "q5_k" },
  "nf4 with a table in bf16": { format: (tensor) => tensor.includes("embed") ? "bf16" : "nf4_bf16" },
  "fp4 with a table in f16": { format: (tensor) => tensor.includes("embed") ? "f16" : "fp4_f16" },
  "q4_0 with a table in q6_k": { format: (tensor) => tensor.includes("embed") ? "q6_k" : "q4_0" },
  "q4_k with a table, v and down in q6_k, a bf16 cache": { format: (tensor) => isMore(tensor) ? "q6_k" : "q4_k", cacheType: "bf16" },
};
for (const [name, fits] of Object.entries(fitting)) {
  gpuTest(`gpu walk: compiles for ${name}, near and far`, async () => {
    const executable = await compile(fits);
    for (const past of [8, 8000]) {
      assertEquals([executable.whyNotPersistent, typeof await executable.prepareWalk(oneToken(past), new Float32Array())], [undefined, "function"]);
    }
    executable.close();
  });
}

// Each workgroup takes more groups of rows then. What it computes only a GPU that keeps them resident can tell.
for (const [workgroups, format] of ([[20, "q8_0"], [58, "bf16"], [114, "q4_0"]] as const).filter(([count]) => count < (real?.workgroups ?? 0))) {
  gpuTest(`gpu walk: ${workgroups} workgroups make of ${format} what single dispatches make`, async () => {
    const executable = await compile({ format: () => format, workgroups }), { bytes } = randomWeights(smolLM3(randomConfig(shape)), () => format);
    for (const [tensor, rows] of bytes) executable.writeRows(tensor, 0, rows);
    await executable.finishWeights();
    for (let past = 0; past < 40; past++) await executable.executeSteps(oneToken(past), 0, Infinity);
    const want = (await executable.read("logits", 1)).slice(), batch = oneToken(39), steps = 1, rope = new Float32Array();
    await executable.decode({ batch, sampling: [{ temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0 }], steps, rope });
    assertEquals(executable.whyNotPersistent, undefined);
    const got = await executable.read("logits", 1), norm = (values: Float32Array) => Math.hypot(...values);
    const error = norm(got.map((value, i) => value - want[i])) / norm(want);
    assert(error < 0.05, `the error is ${error} of the logits`); // activations are rounded otherwise; a group of rows left out would make 0.2
    executable.close();
  });
}

const refused: Record<string, Case> = {
  "it has no part for f32": { format: () => "f32" },
  "some of its matrices are quantized and some are not": { format: (tensor) => tensor.includes("embed") ? "bf16" : "q8_0" },
  "it has weights of nf4_bf16 and fp4_bf16": {
    format: (tensor) => tensor.includes("embed") ? "bf16" : tensor.includes("down") ? "fp4_bf16" : "nf4_bf16",
  },
  "activations are to be float32": { format: () => "bf16", options: { activations: "float32" } },
  "quantized weights are to meet exact activations": { format: () => "q8_0", options: { activations: "auto" } },
  "workgroups have 256 threads, not 512": { format: () => "q8_0", limits: { maxComputeInvocationsPerWorkgroup: 256 } },
  "the KV cache is f32": { format: () => "q8_0", cacheType: "f32" },
  "the block size 24 is no power of two": { format: () => "q8_0", options: { blockSize: 24 } },
  "it has biases": { format: () => "q8_0", config: { mlpBias: true } },
  "its activation is relu": { format: () => "q8_0", config: { hiddenAct: "relu" } },
  "its heads (8 of 64, 1 KV heads) do not fit the walk": { format: () => "q8_0", config: { numAttentionHeads: 8, headDim: 64 } },
  "its widths 2624 and 768 do not fit the walk": { format: () => "q8_0", config: { hiddenSize: 2624 } },
  "its widths need 16 rounds, the walk has room for 11": { format: () => "bf16", config: { intermediateSize: 4096 }, workgroups: 16 },
  "gate and up of layer 1 differ": { format: (tensor) => /layers\.1.*gate/.test(tensor) ? "q6_k" : "q4_k" },
};
for (const [reason, misfit] of Object.entries(refused)) {
  gpuTest(`gpu walk: does without where ${reason}`, async () => {
    const executable = await compile(misfit);
    assertEquals(executable.whyNotPersistent, reason);
    executable.close();
  });
}
