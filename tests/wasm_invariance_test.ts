import { assert, assertEquals } from "@std/assert";
import type { Batch } from "../engine/batch.ts";
import type { CacheType, CompileOptions, Executable } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { Format } from "../engine/formats.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { type BuildName, createWasmBackend } from "../wasm/backend.ts";
import { layOut } from "../wasm/layout.ts";
import { loadModel } from "../wasm/model.ts";
import { random, randomBatch, randomConfig, type RandomSequence, randomWeights } from "./random_model.ts";

/** Everything that must not change a bit of the logits. */
interface Circumstances {
  build?: BuildName;
  /** Spread over at least two memories, by an artificial limit. */
  spread?: boolean;
  threads?: number;
  blockSize?: number;
  /** Sizes of the pieces in which the prompt is computed. */
  chunks?: number[];
  /** Other sequences in the same batches. */
  company?: RandomSequence[];
}

interface Model {
  config: Partial<SmolLM3Config>;
  format?: Format;
  cacheType?: CacheType;
  activations?: CompileOptions["activations"];
}

const maxContext = 1200;

/** Logits of the last token of a prompt of `length` tokens. */
async function lastLogits(model: Model, length: number, circumstances: Circumstances): Promise<Float32Array> {
  const { threads = 1, blockSize = 16, chunks = [length], company = [], build = "threads", spread = false } = circumstances;
  const config = randomConfig(model.config), program = smolLM3(config), weights = randomWeights(program, () => model.format ?? "f32");
  const sequences = 1 + company.length, blocks = Math.ceil(maxContext / blockSize) * sequences, maxRows = length + 32;
  const { cacheType = "f16", activations = "float32" } = model;
  const sizes = { maxRows, maxOutputs: 1, maxSequences: sequences, maxContext, blockSize, blocks };
  const options = { ...sizes, cacheType, activations, formats: weights.formats, threads };
  let memoryBytes = 2 ** 32;
  if (spread) {
    const crate = await loadModel(build);
    for (memoryBytes = 2 ** 23; layOut(program, options, crate, memoryBytes).plans.length === 1;) memoryBytes -= 2 ** 16;
  }
  const backend = await createWasmBackend({ build, memoryBytes }), executable: Executable = await backend.compile(program, options);
  try {
    for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
    await executable.finishWeights();
    const next = random(5), tokens = Uint32Array.from({ length }, () => Math.floor(next() * config.vocabSize));
    let past = 0, logits = new Float32Array();
    for (const fresh of chunks) {
      const batch: Batch = randomBatch(config, [{ past, fresh }, ...company], { blockSize, blocks, outputs: [fresh - 1] });
      batch.tokens.set(tokens.subarray(past, past + fresh));
      // The same scattered blocks for each piece.
      const table = (position: number) => ((Math.floor(position / blockSize) * 7 + 3) % Math.ceil(maxContext / blockSize)) * sequences;
      for (let i = 0; i < fresh; i++) batch.slots[i] = table(past + i) * blockSize + (past + i) % blockSize;
      for (let block = 0; block * blockSize < past + fresh; block++) batch.blockTables[block] = table(block * blockSize);
      moveCompany(batch, blockSize, sequences);
      logits = (await executable.execute(batch)).slice();
      past += fresh;
    }
    return logits;
  } finally {
    executable.close();
  }
}

/** Gives each other sequence blocks of its own: those that are `s` modulo the number of sequences. */
function moveCompany(batch: Batch, blockSize: number, sequences: number): void {
  for (let s = 1; s < sequences; s++) {
    const context = batch.contextLengths[s], count = batch.queryStarts[s + 1] - batch.queryStarts[s];
    for (let block = 0; block * blockSize < context; block++) batch.blockTables[s * batch.blocksPerSequence + block] = block * sequences + s;
    for (let i = 0; i < count; i++) {
      const position = context - count + i;
      batch.slots[batch.queryStarts[s] + i] = (Math.floor(position / blockSize) * sequences + s) * blockSize + position % blockSize;
    }
  }
}

const models: [name: string, model: Model, length: number][] = [
  ["one KV head, a context of three slices", { config: { numKeyValueHeads: 1 } }, 1100],
  ["GQA 2, window of 40", { config: { slidingWindows: [40, 0] } }, 200],
  ["q8_0, int8 activations, bf16 cache", { config: { numKeyValueHeads: 4 }, format: "q8_0", activations: "int8", cacheType: "bf16" }, 150],
];
for (const [name, model, length] of models) {
  const variants: Record<string, Circumstances> = {
    "2 threads": { threads: 2 },
    "blocks of 1": { blockSize: 1 },
    "blocks of 64": { blockSize: 64 },
    "in pieces": { chunks: [5, 64, length - 70, 1] },
    "in pieces, 2 threads": { chunks: [length - 2, 1, 1], threads: 2 },
    "in company": { company: [{ past: 0, fresh: 7 }, { past: 0, fresh: 1 }] },
    "in company and pieces, 2 threads": { company: [{ past: 0, fresh: 1 }], chunks: [length - 1, 1], threads: 2 },
    "in several memories": { spread: true, threads: 2 },
    "in the simd build, several memories": { spread: true, build: "simd" },
    "in the simd build, pieces": { build: "simd", chunks: [length - 3, 3] },
  };
  let reference: Promise<Record<"threads" | "simd", Float32Array>>;
  const references = () =>
    reference ??= (async () => ({ threads: await lastLogits(model, length, {}), simd: await lastLogits(model, length, { build: "simd" }) }))();
  for (const [variant, circumstances] of Object.entries(variants)) {
    Deno.test(`wasm: ${name}: the same bits ${variant}`, async () => {
      const want = (await references())[circumstances.build === "simd" ? "simd" : "threads"];
      assert(want.some((value) => value !== 0));
      assertEquals(await lastLogits(model, length, circumstances), want);
    });
  }
}
