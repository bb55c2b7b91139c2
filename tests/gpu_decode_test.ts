/**
 * Decoding on the GPU, several steps a call, against one step at a time with the host's sampler.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type CompileOptions, type DecodeRequest, noToken, type RowSampling } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { Format } from "../engine/formats.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import { DecodePaths } from "../gpu/decode_paths.ts";
import type { GpuExecutable } from "../gpu/executable.ts";
import { loadHost } from "../wasm/host.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";
import { random, randomConfig, randomWeights } from "./random_model.ts";

const backend = hasAdapter ? await createGpuBackend() : undefined;

/** A sequence: its tokens, its blocks, how its tokens are drawn. */
interface TestSequence {
  readonly tokens: number[];
  readonly blocks: number[];
  readonly promptLength: number;
  readonly sampling: RowSampling;
}

/** A model with two executables' worth of sequences: what is decoded one way never touches what is decoded the other way. */
async function setUp(
  overrides: Partial<SmolLM3Config>,
  sizes: Pick<CompileOptions, "blockSize" | "cacheType"> & Partial<CompileOptions>,
  format: Format = "f32",
) {
  const config = randomConfig(overrides), program = smolLM3(config), weights = randomWeights(program, () => format);
  const options = { maxRows: 256, maxOutputs: 16, maxSequences: 16, maxContext: 320, blocks: Math.ceil(4096 / sizes.blockSize) };
  const executable = await backend!.compile(program, {
    ...options,
    activations: "float32",
    ...sizes,
    formats: weights.formats,
    threads: 1,
  }) as GpuExecutable;
  for (const [tensor, bytes] of weights.bytes) executable.writeRows(tensor, 0, bytes);
  await executable.finishWeights();
  return { config, executable, blockSize: sizes.blockSize, blocks: options.blocks };
}

/** Angles that depend on the length of the sequence too, as those of dynamic RoPE do. */
function angles({ headDim }: SmolLM3Config, position: number, length: number): number[] {
  const of = (turn: (angle: number) => number) => Array.from({ length: headDim / 2 }, (_, i) => turn(position * (10000 + 50 * length) ** (-2 * i / headDim)));
  return [...of(Math.cos), ...of(Math.sin)];
}

/** The tokens of each sequence from `past` on, up to `end`. */
function batchOf(
  config: SmolLM3Config,
  blockSize: number,
  sequences: readonly TestSequence[],
  past: (sequence: TestSequence) => number,
  end = Infinity,
): Batch {
  const tokens: number[] = [], rope: number[] = [], slots: number[] = [], queryStarts = [0], width = Math.max(...sequences.map(({ blocks }) => blocks.length));
  const blockTables = new Uint32Array(sequences.length * width);
  sequences.forEach((sequence, s) => {
    blockTables.set(sequence.blocks, s * width);
    for (let position = past(sequence); position < Math.min(end, sequence.tokens.length); position++) {
      tokens.push(sequence.tokens[position]);
      rope.push(...angles(config, position, Math.max(sequence.promptLength, position + 1)));
      slots.push(sequence.blocks[Math.floor(position / blockSize)] * blockSize + position % blockSize);
    }
    queryStarts.push(tokens.length);
  });
  return {
    tokens: Uint32Array.from(tokens),
    rope: Float32Array.from(rope),
    slots: Uint32Array.from(slots),
    queryStarts: Uint32Array.from(queryStarts),
    contextLengths: Uint32Array.from(sequences, ({ tokens: { length } }) => Math.min(end, length)),
    blockTables,
    blocksPerSequence: width,
    outputRows: Uint32Array.from(queryStarts.slice(1), (end) => end - 1),
  };
}

const noPenalties = { repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, promptTokenIds: [], outputTokenIds: [] };

/** Ways to draw: greedy, and everything that changes what is drawn. */
const ways: Omit<RowSampling, "seed" | "position">[] = [
  { temperature: 0, topK: 0, topP: 1, minP: 0 },
  { temperature: 0.8, topK: 0, topP: 0.9, minP: 0 },
  { temperature: 1.3, topK: 5, topP: 1, minP: 0 },
  { temperature: 1, topK: 0, topP: 1, minP: 0.1 },
  { temperature: 0, topK: 0, topP: 1, minP: 0, penalties: { ...noPenalties, repetitionPenalty: 1.5, logitBias: new Map([[5, 2]]) } },
  { temperature: 0.7, topK: 20, topP: 1, minP: 0, penalties: { ...noPenalties, frequencyPenalty: 0.7, presencePenalty: 0.4 } },
];

/** Sequences of several lengths on shuffled blocks with room for `more` tokens. */
function sequencesOf(
  config: SmolLM3Config,
  lengths: readonly number[],
  more: number,
  { blockSize, blocks }: { blockSize: number; blocks: number },
): TestSequence[] {
  const next = random(lengths.length), free = Array.from({ length: blocks }, (_, i) => i).sort(() => next() - 0.5);
  return lengths.map((length, i) => {
    const tokens = Array.from({ length }, () => Math.floor(next() * config.vocabSize)), way = ways[(lengths.length + i) % ways.length];
    const penalties = way.penalties && { ...way.penalties, promptTokenIds: tokens.slice() };
    const sampling = { ...way, penalties, seed: BigInt(1000 + i), position: 0 };
    return { tokens, blocks: free.splice(0, Math.ceil((length + more) / blockSize)), promptLength: length, sampling };
  });
}

const { sampler } = await loadHost();

/** Brings a sequence into the cache, some rows at a time. */
async function prefill({ executable, config, blockSize }: Awaited<ReturnType<typeof setUp>>, sequence: TestSequence) {
  for (let at = 0; at < sequence.tokens.length; at += 40) await executable.execute(batchOf(config, blockSize, [sequence], () => at, at + 40));
}

/** What one step at a time and the host's sampler make of sequences whose prompts are in the cache but for the last token. */
async function oneByOne({ executable, config, blockSize }: Awaited<ReturnType<typeof setUp>>, sequences: readonly TestSequence[], steps: number) {
  const made: number[][] = [];
  for (let step = 0; step < steps; step++) {
    const logits = await executable.execute(batchOf(config, blockSize, sequences, ({ tokens }) => tokens.length - 1));
    sequences.forEach(({ tokens, promptLength, sampling: { penalties } }, i) => {
      const { vocabSize } = config, outputTokenIds = tokens.slice(promptLength);
      if (penalties) sampler.penalize(logits.subarray(i * vocabSize, (i + 1) * vocabSize), { ...penalties, outputTokenIds });
    });
    const drawn = sampler.sample(logits, sequences.map(({ sampling }) => ({ ...sampling, position: sampling.position + step })));
    made.push(drawn.map(({ tokenId }) => tokenId));
    sequences.forEach(({ tokens }, i) => tokens.push(drawn[i].tokenId));
  }
  return made;
}

function requestOf(config: SmolLM3Config, batch: Batch, sequences: readonly TestSequence[], steps: number): DecodeRequest {
  const rope: number[] = [];
  for (let step = 1; step < steps; step++) {
    for (const { tokens: { length }, promptLength } of sequences) rope.push(...angles(config, length - 1 + step, Math.max(promptLength, length + step)));
  }
  return { batch, sampling: sequences.map(({ sampling }) => sampling), steps, rope: Float32Array.from(rope) };
}

const cases: { name: string; lengths: number[]; steps: number; blockSize: number; cacheType?: "f32" | "f16"; config?: Partial<SmolLM3Config> }[] = [
  { name: "one sequence, 5 steps, blocks of 1", lengths: [3], steps: 5, blockSize: 1 },
  { name: "two sequences across a block's border", lengths: [14, 16], steps: 6, blockSize: 16 },
  { name: "9 sequences of 1 to 41 tokens, f16 cache, blocks of 3", lengths: [1, 41, 2, 17, 5, 30, 8, 9, 33], steps: 7, blockSize: 3, cacheType: "f16" },
  { name: "contexts that are cut in slices", lengths: [250, 127, 128], steps: 4, blockSize: 16 },
  { name: "64 steps, over several submits", lengths: [2, 40, 9], steps: 64, blockSize: 8, config: { numHiddenLayers: 8, hiddenSize: 32, headDim: 6 } },
];
for (const { name, lengths, steps, blockSize, cacheType = "f32", config: overrides = {} } of cases) {
  gpuTest(`gpu decode: the device's tokens are those of one step at a time: ${name}`, async () => {
    const model = await setUp(overrides, { blockSize, cacheType }), { executable, config } = model;
    // Each sequence twice, on blocks of its own: what one way leaves in the cache the other must not find.
    const all = sequencesOf(config, [...lengths, ...lengths], steps, model), sequences = all.slice(0, lengths.length);
    const copies = all.slice(lengths.length).map((copy, i) => ({ ...sequences[i], tokens: [...sequences[i].tokens], blocks: copy.blocks }));
    for (const sequence of [...sequences, ...copies]) await prefill(model, sequence);
    const last = ({ tokens }: TestSequence) => tokens.length - 1;
    const { tokens, logits } = await executable.decode(requestOf(config, batchOf(config, blockSize, sequences, last), sequences, steps));
    const want = await oneByOne(model, copies, steps);
    assertEquals([Array.from(tokens), logits.length], [want.flat(), 0]);
    // Keys and values of all but the last tokens are in the cache: what follows sees them.
    sequences.forEach(({ tokens }, i) => tokens.push(...want.map((row) => row[i])));
    const expected = (await executable.execute(batchOf(config, blockSize, copies, last))).slice();
    const got = await executable.execute(batchOf(config, blockSize, sequences, last));
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0);
    assert(worst < 1e-4, `logits after it are off by ${worst}`);
    executable.close();
  });
}

gpuTest(
  "gpu decode: a prompt's first token comes with the logits that the host asks for; embeddings take the place of the first step's tokens only",
  async () => {
    const model = await setUp({}, { blockSize: 4, cacheType: "f32" }), { executable, config, blockSize } = model;
    const sequences = sequencesOf(config, [7, 1, 12, 3], 4, model), batch = batchOf(config, blockSize, sequences, () => 0);
    const want = (await executable.execute(batch)).slice(), { vocabSize } = config;
    const rowOf = (row: number) => Array.from(want.subarray(row * vocabSize, (row + 1) * vocabSize));
    const drawn = sampler.sample(want, sequences.map(({ sampling }) => sampling)).map(({ tokenId }) => tokenId);
    const sampling = sequences.map(({ sampling }, i) => i % 2 === 1 ? { ...sampling, penalties: undefined } : undefined);
    const some = await executable.decode({ batch, sampling, steps: 1, rope: new Float32Array() });
    assertEquals(Array.from(some.tokens), [noToken, drawn[1], noToken, drawn[3]]);
    assertEquals(Array.from(some.logits), [...rowOf(0), ...rowOf(2)]);
    const none = await executable.decode({ batch, sampling: sampling.map(() => undefined), steps: 1, rope: new Float32Array() });
    assertEquals([Array.from(none.tokens), Array.from(none.logits)], [[noToken, noToken, noToken, noToken], Array.from(want)]);
    const nothing = await executable.decode({ batch: { ...batch, outputRows: new Uint32Array() }, sampling: [], steps: 1, rope: new Float32Array() });
    assertEquals([nothing.tokens.length, nothing.logits.length], [0, 0]);

    const steps = 3,
      last = ({ tokens }: TestSequence) => tokens.length - 1,
      request = requestOf(config, batchOf(config, blockSize, sequences, last), sequences, steps);
    const plain = (await executable.decode(request)).tokens;
    await executable.executeSteps(request.batch, 0, 1);
    const inputsEmbeds = await executable.read("x", sequences.length), tokens = new Uint32Array(sequences.length);
    assertEquals((await executable.decode({ ...request, batch: { ...request.batch, tokens, inputsEmbeds } })).tokens, plain);
    executable.close();
  },
);

gpuTest("gpu decode: several steps of one sequence in a call are as many calls of one step, where the device can by the persistent walk", async () => {
  const overrides = { hiddenSize: 256, intermediateSize: 512, numAttentionHeads: 4, numKeyValueHeads: 2, headDim: 128, vocabSize: 300 };
  const model = await setUp(overrides, { blockSize: 8, cacheType: "f16", activations: "int8" }, "bf16"), { executable, config, blockSize } = model;
  for (const [sequence] of ways.map((_, i) => sequencesOf(config, new Array(i + 1).fill(11), 6, model))) {
    await prefill(model, sequence);
    const last = ({ tokens }: TestSequence) => tokens.length - 1, batch = batchOf(config, blockSize, [sequence], last);
    const { tokens } = await executable.decode(requestOf(config, batch, [sequence], 6)), { sampling } = sequence, single: number[] = [];
    for (let step = 0; step < 6; step++) {
      const penalties = sampling.penalties && { ...sampling.penalties, outputTokenIds: single.slice() };
      const now = { ...sequence, sampling: { ...sampling, penalties, position: step } };
      const made = await executable.decode(requestOf(config, batchOf(config, blockSize, [now], last), [now], 1));
      single.push(made.tokens[0]);
      sequence.tokens.push(made.tokens[0]);
    }
    assertEquals(Array.from(tokens), single);
  }
  executable.close();
});

gpuTest("gpu decode: a request that makes no sense is refused", async () => {
  const model = await setUp({ numHiddenLayers: 1 }, { blockSize: 4, cacheType: "f32" }), { executable, config, blockSize } = model;
  const sequences = sequencesOf(config, [5, 2], 4, model), last = ({ tokens }: TestSequence) => tokens.length - 1;
  const request = requestOf(config, batchOf(config, blockSize, sequences, last), sequences, 2);
  const rejects = (changes: Partial<DecodeRequest>, kind: ErrorConstructor, message: string) =>
    assertRejects(() => executable.decode({ ...request, ...changes }), kind, message);
  await rejects({ steps: 0 }, RangeError, "Cannot decode 0 steps: between 1 and 64 are made");
  await rejects({ steps: 65 }, RangeError, "between 1 and 64");
  await rejects({ steps: 3 }, TypeError, "rope has 32 values");
  await rejects({ sampling: [request.sampling[0]] }, TypeError, "2 outputs have 1 ways to draw");
  await rejects({ sampling: [request.sampling[0], undefined] }, RangeError, "each sequence must have one row, whose token is drawn");
  executable.close();
});

gpuTest("gpu decode: tokens drawn from logits of the host are those of the host's sampler, in any number of rows", async () => {
  const { executable, config: { vocabSize } } = await setUp({ vocabSize: 3001 }, { blockSize: 4, cacheType: "f32" }), next = random(4);
  const sampling = [0.7, 1, 0, 1.3].map((temperature, i) => ({ temperature, topK: 0, topP: i % 2 ? 0.9 : 1, minP: 0, seed: BigInt(i), position: 3 * i }));
  for (const count of [4, 1, 3]) {
    const logits = Float32Array.from({ length: count * vocabSize }, () => 8 * (next() + next() + next() - 1.5)), rows = sampling.slice(0, count);
    const views = rows.map((_, i) => logits.subarray(i * vocabSize, (i + 1) * vocabSize)), want = sampler.sample(logits, rows).map(({ tokenId }) => tokenId);
    if (count === 3) [views[1], want[1]] = [new Float32Array(vocabSize).fill(-Infinity), noToken];
    assertEquals(Array.from(await executable.draw(views, rows)), want);
  }
  executable.close();
});

gpuTest("gpu decode: the next step is recorded while the device is at work on this one; what the device refuses of it, when it is needed", async () => {
  const model = await setUp({}, { blockSize: 4, cacheType: "f32" }), { executable, config, blockSize } = model, { device } = executable.gpu, { queue } = device;
  const sequences = sequencesOf(config, [5, 2], 4, model), last = ({ tokens }: TestSequence) => tokens.length - 1, events: string[] = [];
  for (const sequence of sequences) await prefill(model, sequence);
  let refused = "";
  device.createCommandEncoder = () => {
    const encoder = GPUDevice.prototype.createCommandEncoder.call(device);
    if (events.push("record") > 2 && refused === "next") encoder.pushDebugGroup("never ends");
    return encoder;
  };
  queue.submit = (commands) => {
    events.push("submit");
    GPUQueue.prototype.submit.call(queue, commands);
  };
  const request = requestOf(config, batchOf(config, blockSize, sequences, last), sequences, 2), made: Uint32Array[] = [];
  const call = async (what: string) => {
    events.length = 0;
    refused = what;
    made.push((await executable.decode(request)).tokens);
    return events.join(" ");
  };
  assertEquals(await call("none"), "record submit record");
  assertEquals(await call("none"), "submit record submit record");
  assertEquals(await call("next"), "submit record submit record");
  assertEquals(await call("none"), "record submit record");
  for (const tokens of made) assertEquals(tokens, made[0]);
  Reflect.deleteProperty(device, "createCommandEncoder");
  Reflect.deleteProperty(queue, "submit");
  executable.close();
});

Deno.test("decode: one row takes the walk, whether its token is drawn or its logits are wanted; when the walk is stuck the other way makes the same call, and all later ones", async () => {
  const request = { batch: { tokens: Uint32Array.of(1) }, sampling: [{ temperature: 0 }], steps: 4 } as unknown as DecodeRequest, calls: string[] = [];
  let isStuck = false;
  const path = <T>(name: string, result: () => T) => ({
    decode(got: DecodeRequest) {
      calls.push(got.steps === 4 ? name : `${name} of another request`);
      return Promise.resolve(result());
    },
  });
  const wanted = { ...request, sampling: [undefined] },
    [walked, batched] = [5, 6].map((token) => ({ tokens: Uint32Array.of(token), logits: new Float32Array() }));
  const paths = new DecodePaths(path("batched", () => batched), path("walk", () => isStuck ? undefined : walked));
  for (const one of [request, wanted]) assertEquals([await paths.decode(one), paths.whyNotPersistent], [walked, undefined]);
  for (
    const other of [
      { ...request, sampling: [] },
      { ...request, batch: { ...request.batch, tokens: new Uint32Array(2) } },
      { ...request, batch: { ...request.batch, inputsEmbeds: new Float32Array(4) } },
    ]
  ) assertEquals(await paths.decode(other), batched);
  isStuck = true;
  assertEquals(await paths.decode(wanted), batched);
  assertMatch(paths.whyNotPersistent!, /not all resident/);
  assertEquals(await paths.decode(request), batched);
  assertEquals(calls, ["walk", "walk", "batched", "batched", "batched", "walk", "batched", "batched"]);
  assertEquals(new DecodePaths(path("batched", () => batched), "there is none").whyNotPersistent, "there is none");
});
