/**
 * The CPU backend's matrix kernels: every format, one thread, one row (decode), a few rows and many (prefill).
 *
 *     deno bench -A bench/kernels_bench.ts
 *     deno bench -A bench/kernels_bench.ts --filter q4_0
 *
 * An iteration multiplies `rows` rows with 8 square weights of 2048 columns: 33.6 million products a row, so 1 ms for one row is 33.6 billion
 * multiply-adds a second. The weights do not fit the caches of a core; what embedding and logits add is below one percent.
 *
 * @module
 */
import type { Batch } from "../engine/batch.ts";
import type { Backend, Executable } from "../engine/backend.ts";
import { type Format, rowBytes } from "../engine/formats.ts";
import { type Program, ProgramBuilder } from "../engine/program.ts";
import { createWasmBackend } from "../wasm/backend.ts";

const columns = 2048, weights = 8, vocabulary = 16;
const formats: Format[] = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q4_k", "q5_k", "q6_k"];
const rowCounts = [1, 2, 4, 8, 64];

/** An embedding, the weights one after the other, and a head that costs nothing. */
function matrices(): Program {
  const p = new ProgramBuilder("kernels");
  const x = p.buffer("x", columns), out = p.buffer("out", columns);
  const last = p.buffer("last", columns, "outputs"), logits = p.buffer("logits", vocabulary, "outputs");
  const table = p.weight("embed", columns, { tensor: "embed", rows: vocabulary });
  p.step("embed", "embed", { table, out: x });
  for (let i = 0; i < weights; i++) {
    const weight = p.weight(`${i}`, columns, { tensor: `weight.${i}`, rows: columns });
    p.step("linearAdd", `${i}`, { x, weight, bias: null, out });
  }
  p.step("gather", "last", { x: out, out: last });
  const norm = p.vector("norm", { tensor: "norm", cols: columns });
  p.step("normLinear", "logits", { x: last, norm, weight: table, bias: null, out: logits, eps: 1e-6 });
  return p.build(logits);
}

/** Random bits of which no half, bfloat16 or float32 is large, infinite or NaN: the upper exponent bits are clear, some are set. */
function randomBytes(count: number): Uint8Array {
  const words = new Uint32Array(count / 4);
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state & 0xa3ffa3ff | 0x08000800;
  }
  return new Uint8Array(words.buffer);
}

async function compile(backend: Backend, format: Format, activations: "float32" | "int8"): Promise<Executable> {
  const tensors = Array.from({ length: weights }, (_, i) => `weight.${i}`);
  const executable = await backend.compile(matrices(), {
    maxRows: rowCounts.at(-1)!,
    maxOutputs: 1,
    maxSequences: 1,
    maxContext: rowCounts.at(-1)!,
    blockSize: rowCounts.at(-1)!,
    blocks: 1,
    cacheType: "f32",
    activations,
    formats: new Map<string, Format>([["embed", "f32"], ["norm", "f32"], ...tensors.map((name) => [name, format] as const)]),
    threads: 1,
  });
  const floats = Float32Array.from({ length: vocabulary * columns }, (_, i) => Math.sin(i));
  executable.writeRows("embed", 0, new Uint8Array(floats.buffer));
  executable.writeRows("norm", 0, new Uint8Array(floats.buffer, 0, columns * 4));
  const bytes = randomBytes(columns * rowBytes(format, columns));
  for (const name of tensors) executable.writeRows(name, 0, bytes);
  await executable.finishWeights();
  return executable;
}

function batch(rows: number): Batch {
  return {
    tokens: Uint32Array.from({ length: rows }, (_, i) => i % vocabulary),
    rope: new Float32Array(0),
    slots: Uint32Array.from({ length: rows }, (_, i) => i),
    queryStarts: Uint32Array.of(0, rows),
    contextLengths: Uint32Array.of(rows),
    blockTables: Uint32Array.of(0),
    blocksPerSequence: 1,
    outputRows: Uint32Array.of(rows - 1),
  };
}

const backend = await createWasmBackend();
for (const format of formats) {
  for (const activations of /^q/.test(format) ? ["int8", "float32"] as const : ["float32"] as const) {
    // Compiled when first measured, so that a filter spares the others.
    let executable: Promise<Executable> | null = null;
    for (const rows of rowCounts) {
      const group = `${rows} row${rows === 1 ? "" : "s"}`;
      Deno.bench(`${format} x ${activations}, ${group}`, { group, n: 20, warmup: 10 }, async (timer) => {
        const ready = await (executable ??= compile(backend, format, activations));
        timer.start();
        await ready.execute(batch(rows));
        timer.end();
      });
    }
  }
}
