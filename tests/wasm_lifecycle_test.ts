import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type CompileOptions, DeviceError } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import { type Program, ProgramBuilder } from "../engine/program.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createWasmBackend } from "../wasm/backend.ts";
import type { WasmExecutable } from "../wasm/executable.ts";
import { randomBatch, randomConfig, randomWeights } from "./random_model.ts";

const config = randomConfig(), program = smolLM3(config), blockSize = 16, blocks = 8;
const weights = randomWeights(program, () => "f32");
const options: CompileOptions = {
  maxRows: 32,
  maxOutputs: 32,
  maxSequences: 2,
  maxContext: 64,
  blockSize,
  blocks,
  cacheType: "f16",
  activations: "float32",
  formats: weights.formats,
  threads: 2,
};
const batch = randomBatch(config, [{ past: 0, fresh: 5 }, { past: 0, fresh: 3 }], { blockSize, blocks });

async function load(build: "threads" | "simd"): Promise<WasmExecutable> {
  const executable = await (await createWasmBackend({ build })).compile(program, options) as WasmExecutable;
  for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
  await executable.finishWeights();
  return executable;
}

/** A program whose only layer asks for an activation function that does not exist: the crate panics. */
function brokenProgram(): Program {
  const p = new ProgramBuilder("broken"), x = p.buffer("x", 32), out = p.buffer("out", 32);
  p.step("embed", "embed", { table: p.weight("table", 32, { tensor: "table", rows: 32 }), out: x });
  const weight = p.weight("gateUp", 32, { tensor: "gate", rows: 32 }, { tensor: "up", rows: 32 });
  p.step("normGatedLinear", "broken", { x, norm: p.vector("norm", { tensor: "norm", cols: 32 }), weight, bias: null, out, eps: 1e-6, activation: 99 });
  return p.build(out);
}
const brokenBatch: Batch = {
  tokens: Uint32Array.of(1),
  rope: new Float32Array(),
  slots: Uint32Array.of(0),
  queryStarts: Uint32Array.of(0, 1),
  contextLengths: Uint32Array.of(1),
  blockTables: Uint32Array.of(0),
  blocksPerSequence: 1,
  outputRows: new Uint32Array(),
};

for (const build of ["threads", "simd"] as const) {
  Deno.test(`wasm, ${build} build: embeddings of the caller's own take the table's place`, async () => {
    const executable = await load(build), want = (await executable.execute(batch)).slice(), table = weights.values.get(program.weights[0])!;
    const inputsEmbeds = new Float32Array(batch.tokens.length * config.hiddenSize);
    batch.tokens.forEach((token, row) => inputsEmbeds.set(table.subarray(token * config.hiddenSize, (token + 1) * config.hiddenSize), row * config.hiddenSize));
    assertEquals(await executable.execute({ ...batch, tokens: new Uint32Array(8), inputsEmbeds }), want);
    executable.close();
  });

  Deno.test(`wasm, ${build} build: no output rows, no logits`, async () => {
    const executable = await load(build), want = (await executable.execute(batch)).slice();
    assertEquals((await executable.execute({ ...batch, outputRows: new Uint32Array() })).length, 0);
    assertEquals(await executable.execute(batch), want);
    executable.close();
  });

  Deno.test(`wasm, ${build} build: a batch in flight rejects when the executable is closed, and so does every one after it`, async () => {
    // Long enough to be in flight: half a second of zeros.
    const wide = randomConfig({ hiddenSize: 512, intermediateSize: 2048, numHiddenLayers: 4 }), zeros = smolLM3(wide);
    const formats = new Map(zeros.weights.flatMap(({ parts }) => parts.map(({ tensor }) => [tensor, "f32" as const])));
    const executable = await (await createWasmBackend({ build })).compile(zeros, { ...options, formats, maxRows: 512, maxContext: 512, blocks: 32 });
    for (const { parts, rows, cols } of zeros.weights) {
      for (const part of parts) executable.writeRows(part.tensor, 0, new Uint8Array(4 * (rows === 1 ? part.rows : part.rows * cols)));
    }
    await executable.finishWeights();
    const batch = randomBatch(wide, [{ past: 0, fresh: 512 }], { blockSize, blocks: 32, outputs: [] }), running = executable.execute(batch);
    executable.close();
    await assertRejects(() => running, DeviceError, "closed");
    await assertRejects(() => executable.execute(batch), DeviceError, "closed");
    executable.close();
  });

  Deno.test(`wasm, ${build} build: a worker that fails rejects the batch and does not hang`, async () => {
    const broken = brokenProgram(), formats = new Map(["table", "gate", "up", "norm"].map((tensor) => [tensor, "f32" as const]));
    const executable = await (await createWasmBackend({ build })).compile(broken, { ...options, formats });
    for (const [tensor, rows] of [["table", 32], ["gate", 32], ["up", 32], ["norm", 1]] as const) executable.writeRows(tensor, 0, new Uint8Array(rows * 128));
    await executable.finishWeights();
    await assertRejects(() => executable.execute(brokenBatch), DeviceError, "unreachable");
    await assertRejects(() => executable.execute(brokenBatch), DeviceError, "unreachable");
    executable.close();
  });

  Deno.test(`wasm, ${build} build: what was estimated is what is allocated; too much is refused with the number`, async () => {
    const backend = await createWasmBackend({ build });
    const small = backend.estimate(program, options), large = backend.estimate(program, { ...options, blocks: blocks + 4096 });
    // 2 layers x 2 KV heads x 4096 blocks of 16 tokens x (K + V) x 16 values of 2 bytes, to a page.
    assert(Math.abs(large - small - 2 * 2 * 4096 * 16 * 2 * 16 * 2) <= 65536, `${large} - ${small}`);
    const executable = await backend.compile(program, options) as WasmExecutable;
    assertEquals(executable.allocatedBytes, small);
    executable.close();
    const tiny = await createWasmBackend({ build, memoryBytes: 2 ** 19 });
    await assertRejects(() => tiny.compile(program, options), DeviceError, "one memory has 524288");
    // Far beyond any machine: 2 GiB of K and V in each of 1000 layers.
    const huge = smolLM3(randomConfig({ numHiddenLayers: 1000, numKeyValueHeads: 4, headDim: 128, numAttentionHeads: 4 }));
    const formats = new Map(huge.weights.flatMap(({ parts }) => parts.map(({ tensor }) => [tensor, "f32" as const])));
    await assertRejects(() => backend.compile(huge, { ...options, formats, blocks: 2 ** 14, blockSize: 64 }), DeviceError, "this machine has");
  });

  Deno.test(`wasm, ${build} build: rows in pieces are the same weights`, async () => {
    const whole = await load(build), want = (await whole.execute(batch)).slice();
    const executable = await (await createWasmBackend({ build })).compile(program, options);
    for (const [tensor, bytes] of weights.bytes) {
      const rows = program.weights.flatMap(({ parts, rows }) => rows === 1 ? [] : parts).find((part) => part.tensor === tensor)?.rows ?? 1;
      for (let row = 0; row < rows; row += 32) executable.writeRows(tensor, row, bytes.slice(bytes.length / rows * row, bytes.length / rows * (row + 32)));
    }
    await executable.finishWeights();
    assertEquals(await executable.execute(batch), want);
    whole.close();
    executable.close();
  });
}

Deno.test("wasm: weights that do not fit are refused by name", async () => {
  const executable = await (await createWasmBackend()).compile(program, options), q = "model.layers.0.self_attn.q_proj.weight";
  assertThrows(() => executable.writeRows("nothing", 0, new Uint8Array(4)), TypeError, "nothing");
  assertThrows(() => executable.writeRows(q, 0, new Uint8Array(255)), RangeError, q);
  assertThrows(() => executable.writeRows(q, 1, new Uint8Array(256)), RangeError, q);
  assertThrows(() => executable.writeRows(q, 0, new Uint8Array(256)), RangeError, q);
  assertThrows(() => executable.writeRows(q, 64, new Uint8Array(256 * 32)), RangeError, q);
  for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, tensor === q ? bytes.subarray(0, bytes.length / 2) : bytes);
  await assertRejects(() => executable.finishWeights(), TypeError, `${q} from 32 on`);
  executable.close();
});

Deno.test("wasm: batches that name what does not exist are refused, and the next one runs", async () => {
  const executable = await load("threads"), want = (await executable.execute(batch)).slice();
  const bad: Partial<Batch>[] = [
    { tokens: batch.tokens.with(0, config.vocabSize) },
    { slots: batch.slots.with(0, blocks * blockSize) },
    { outputRows: Uint32Array.of(8) },
    { blockTables: batch.blockTables.with(0, blocks) },
    { contextLengths: batch.contextLengths.with(1, 65) },
    { contextLengths: batch.contextLengths.with(1, 2) },
    { queryStarts: batch.queryStarts.with(2, 7) },
    { rope: batch.rope.subarray(1) },
  ];
  for (const fields of bad) await assertRejects(() => executable.execute({ ...batch, ...fields }), RangeError, "Cannot execute the batch");
  assertEquals(await executable.execute(batch), want);
  executable.close();
});

Deno.test("wasm: one batch at a time", async () => {
  const executable = await load("threads"), first = executable.execute(batch);
  await assertRejects(() => executable.execute(batch), TypeError, "still running");
  await first;
  executable.close();
});

Deno.test("wasm: a script that forgets to close ends, with no permission at all", async () => {
  const file = (path: string) => new URL(path, import.meta.url).href;
  const script = `
    import { createWasmBackend } from "${file("../wasm/backend.ts")}";
    import { smolLM3 } from "${file("../engine/smollm3.ts")}";
    import { randomBatch, randomConfig, randomWeights } from "${file("./random_model.ts")}";
    const config = randomConfig(), program = smolLM3(config), weights = randomWeights(program, () => "f32");
    const sizes = { maxRows: 8, maxOutputs: 1, maxSequences: 1, maxContext: 16, blockSize: 16, blocks: 1 };
    const executable = await (await createWasmBackend()).compile(program, { ...sizes, cacheType: "f32", activations: "float32", formats: weights.formats, threads: 2 });
    for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
    await executable.finishWeights();
    const batch = randomBatch(config, [{ past: 0, fresh: 8 }], { blockSize: 16, blocks: 1, outputs: [7] });
    console.log((await executable.execute(batch)).length);`;
  const child = new Deno.Command(Deno.execPath(), { args: ["run", "--no-prompt", "-"], stdin: "piped", stdout: "piped" }).spawn();
  const timeout = setTimeout(() => child.kill(), 20_000), writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { code, stdout } = await child.output();
  clearTimeout(timeout);
  assertEquals([code, new TextDecoder().decode(stdout)], [0, `${config.vocabSize}\n`]);
});

Deno.test("wasm: what is closed, idle or in the middle of a run, gives its memory back", async () => {
  const script = `
    import { AutoModelForCausalLM } from "${new URL("../mod.ts", import.meta.url).href}";
    const bytes = () => (gc(), Deno.memoryUsage().rss);
    let first;
    for (let round = 0; round < 31; round++) {
      const model = await AutoModelForCausalLM.fromPretrained("embedded", { device: "wasm", maxModelLen: 1024 });
      const answer = model.generate({ inputIds: new Array(round % 2 ? 1000 : 1).fill(5), maxNewTokens: 1 }).catch(() => {});
      await (round % 2 ? new Promise((resolve) => setTimeout(resolve, 10 + round)) : answer);
      await model.dispose();
      await answer;
      first ??= bytes();
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    console.log((bytes() - first) / 2 ** 20);`;
  const args = ["run", "-A", "--no-check", "--v8-flags=--expose-gc", "--config", "deno.json", "-"], cwd = new URL("..", import.meta.url);
  const child = new Deno.Command(Deno.execPath(), { args, cwd, stdin: "piped", stdout: "piped" }).spawn(), writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { code, stdout } = await child.output(), grownMiB = Number(new TextDecoder().decode(stdout));
  assertEquals(code, 0);
  // 30 models of 39 MiB each; what the allocator keeps for later was at most 150 MiB.
  assert(grownMiB < 500, `${grownMiB} MiB`);
});
