/**
 * Narrow models of 36 layers, of a shape that every way of decoding takes, against the CPU backend: a prompt, then tokens that the GPU draws on
 * its own, whether by the persistent walk or by one dispatch a step.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CompileOptions } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import { type Format, rowBytes, storageTypes } from "../engine/formats.ts";
import { programTensors } from "../engine/loader/plan_weights.ts";
import { RopeTable } from "../engine/rope.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import type { GpuExecutable } from "../gpu/executable.ts";
import { createWasmBackend } from "../wasm/backend.ts";
import { gpuTest } from "./gpu_test_case.ts";
import { random, randomConfig, randomWeight } from "./random_model.ts";
import { deepTolerance } from "./tolerances.ts";

const layers = 36, vocabSize = 512, blockSize = 16, blocks = 5;
/** @param window Of every other layer, in tokens; 0: none. */
const narrow = (numAttentionHeads: number, numKeyValueHeads: number, window: number) =>
  randomConfig({
    ...{
      numHiddenLayers: layers,
      hiddenSize: 256,
      intermediateSize: 384,
      numAttentionHeads,
      numKeyValueHeads,
      headDim: 128,
      vocabSize,
      tieWordEmbeddings: false,
    },
    noRopeLayers: Array.from({ length: layers }, (_, i) => (i + 1) % 4 === 0 ? 0 : 1),
    slidingWindows: Array.from({ length: layers }, (_, i) => i % 2 === 0 ? window : 0),
  });
const rope = new RopeTable(narrow(1, 1, 0)), next = random(3), prompt = Array.from({ length: 21 }, () => Math.floor(next() * vocabSize));
/** Values of the random stretch that matrices are cut from. */
const poolValues = 1 << 18;
const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0 };

/** A random stretch whose mean is 0. */
function randomBlocks(format: Format, size: number): Uint8Array {
  const { bytes } = randomWeight(format, 1, poolValues, next, size), [blockValues, blockBytes] = storageTypes[format];
  // Four bits go from -8 to 7: a negative scale for every other block. It comes first.
  if (blockValues === 32) { for (let at = 1; at < bytes.length; at += 2 * blockBytes) bytes[at] ^= 0x80; }
  return bytes;
}

function rotations(first: number, count: number): Float32Array {
  const rows = new Float32Array(count * rope.headDim);
  for (let i = 0; i < count; i++) rope.fill(rows, i, first + i, first + count);
  return rows;
}

/** Tokens of the only sequence, whose blocks lie backwards; logits of the last. */
function batchOf(tokens: readonly number[], past: number): Batch {
  const blockTables = Uint32Array.from({ length: blocks }, (_, i) => blocks - 1 - i);
  return {
    tokens: Uint32Array.from(tokens),
    rope: rotations(past, tokens.length),
    slots: Uint32Array.from(tokens, (_, i) => blockTables[Math.floor((past + i) / blockSize)] * blockSize + (past + i) % blockSize),
    queryStarts: Uint32Array.of(0, tokens.length),
    contextLengths: Uint32Array.of(past + tokens.length),
    blockTables,
    blocksPerSequence: blocks,
    outputRows: Uint32Array.of(tokens.length - 1),
  };
}

/** Norm of the difference to the norm. */
function distance(got: Float32Array, want: Float32Array): number {
  const norm = (values: Float32Array) => Math.hypot(...values);
  return norm(want.map((value, i) => value - got[i])) / norm(want);
}

const argmax = (logits: Float32Array) => logits.reduce((best, value, i) => value > logits[best] ? i : best, 0);

// Each format with heads of its own: all ways in which the walk gives query heads to workgroups are taken.
const cases: [Format, CompileOptions["activations"], heads: number, kvHeads: number, window: number][] = [
  ["q4_0", "int8", 4, 2, 0],
  ["q8_0", "int8", 8, 1, 0],
  ["bf16", "auto", 2, 2, 16],
];
for (const [format, activations, heads, kvHeads, window] of cases) {
  gpuTest(`gpu: tokens of a 36-layer model in ${format} with ${heads} heads of ${kvHeads}, drawn one by one and eight at a time`, async () => {
    const program = smolLM3(narrow(heads, kvHeads, window)),
      tensors = programTensors(program),
      formats = new Map<string, Format>(tensors.map(({ name, isVector }) => [name, isVector ? "f32" : format]));
    const options: CompileOptions = {
      ...{ maxRows: 32, maxOutputs: 4, maxSequences: 2, maxContext: blocks * blockSize, blockSize, blocks, cacheType: "f16", activations },
      ...{ formats, threads: 1 },
    };
    const gpu = await (await createGpuBackend()).compile(program, options) as GpuExecutable;
    const cpu = await (await createWasmBackend({ build: "simd" })).compile(program, options);
    const pools = new Map<number, Uint8Array>(), [blockValues, blockBytes] = storageTypes[format];
    for (const { name, isVector, rows, cols } of tensors) {
      // Layers that add little to the embedding, as trained ones do: others would make each error larger than the one before.
      const size = name.includes("embed") ? 2 : 1 / Math.sqrt(cols), length = isVector ? 0 : rows * rowBytes(format, cols);
      const pool = pools.get(size) ?? pools.set(size, randomBlocks(format, size)).get(size)!;
      const start = Math.floor(next() * (poolValues - rows * cols) / blockValues) * blockBytes;
      const norm = () => new Uint8Array(Float32Array.from({ length: cols }, () => 0.8 + 0.4 * next()).buffer);
      const bytes = isVector ? norm() : pool.subarray(start, start + length);
      for (const executable of [gpu, cpu]) executable.writeRows(name, 0, bytes);
    }
    await Promise.all([gpu.finishWeights(), cpu.finishWeights()]);
    const check = (got: Float32Array, want: Float32Array, what: string) => {
      const error = distance(got, want);
      assert(error < deepTolerance[activations], `${what}: relative error ${error}`);
    };
    const first = (await gpu.execute(batchOf(prompt, 0))).slice();
    check(first, await cpu.execute(batchOf(prompt, 0)), "prompt");

    let token = argmax(first);
    const start = token, drawn: number[] = [];
    for (let past = prompt.length; drawn.length < 16; past++) {
      const batch = batchOf([token], past);
      const { tokens: [id] } = await gpu.decode({ batch, sampling: [greedy], steps: 1, rope: new Float32Array() });
      const logits = await gpu.read("logits", 1);
      check(logits, await cpu.execute(batch), `token ${drawn.length}`);
      assertEquals(id, argmax(logits));
      assertEquals(await gpu.execute(batch), logits);
      await gpu.executeSteps(batch, 0, Infinity);
      check(await gpu.read("logits", 1), logits, `token ${drawn.length}, one dispatch a step`);
      // What that left in the cache is off by a rounding or two.
      await gpu.decode({ batch, sampling: [greedy], steps: 1, rope: new Float32Array() });
      drawn.push(token = id);
    }
    assert(new Set(drawn).size > 4, `the same tokens again and again: ${drawn}`);

    const together: number[] = [];
    token = start;
    for (let past = prompt.length; together.length < drawn.length; past += 8) {
      const { tokens } = await gpu.decode({ batch: batchOf([token], past), sampling: [greedy], steps: 8, rope: rotations(past + 1, 7) });
      together.push(...tokens);
      token = tokens[7];
    }
    assertEquals(together, drawn);
    gpu.close();
    cpu.close();
  });
}
