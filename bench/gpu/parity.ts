/**
 * The GPU against the CPU backend, step by step, on the full SmolLM3-3B shape (or a narrow one) with random weights: a prompt in
 * chunks, then one token. Each step is compared twice: with its input as it comes, where errors add up from layer to layer, and with the GPU's
 * input given to both, which shows the error of that step alone. Then tokens of the persistent walk against the CPU's logits.
 *
 * `deno run -A bench/gpu/parity.ts [--format q4_0,bf16] [--activations float32,auto,int8] [--layers 36] [--narrow] [--tokens 16]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { CompileOptions, Executable } from "../../engine/backend.ts";
import type { Batch } from "../../engine/batch.ts";
import type { Format } from "../../engine/formats.ts";
import type { Buffer, Step, Weight } from "../../engine/program.ts";
import { smolLM3 } from "../../engine/smollm3.ts";
import { requestGpu } from "../../gpu/device.ts";
import { GpuExecutable } from "../../gpu/executable.ts";
import { random } from "../../tests/random_model.ts";
import { createWasmBackend } from "../../wasm/backend.ts";
import type { WasmExecutable } from "../../wasm/executable.ts";
import { Batches, formatsOf, fullShape, writeRandom } from "./model.ts";

const { values: args } = parseArgs({
  options: {
    format: { type: "string", default: "q4_0,bf16" },
    activations: { type: "string", default: "float32,auto,int8" },
    cache: { type: "string", default: "f16" },
    layers: { type: "string", default: "36" },
    narrow: { type: "boolean", default: false },
    prompt: { type: "string", default: "40" },
    chunk: { type: "string", default: "24" },
    tokens: { type: "string", default: "16" },
    threads: { type: "string", default: String(navigator.hardwareConcurrency) },
  },
});
const layers = Number(args.layers), prompt = Number(args.prompt), chunk = Number(args.chunk), tokens = Number(args.tokens), blockSize = 16;
const narrow = { hiddenSize: 256, intermediateSize: 384, numAttentionHeads: 4, numKeyValueHeads: 2 };
const config = args.narrow ? { ...fullShape(layers, 1024), ...narrow } : fullShape(layers), program = smolLM3(config), make = new Batches(config, blockSize);
const next = random(9), ids = Array.from({ length: prompt + 1 }, () => Math.floor(next() * config.vocabSize));
const blockTable = Uint32Array.from({ length: Math.ceil((prompt + 2 + tokens) / blockSize) }, (_, i) => i);

/** The prompt in chunks, then one token. */
const batches = [
  ...Array.from({ length: Math.ceil(prompt / chunk) }, (_, i) => make.next(ids.slice(i * chunk, Math.min(prompt, (i + 1) * chunk)), i * chunk, blockTable)),
  make.next(ids.slice(prompt), prompt, blockTable),
];

/** How far results are from the reference's, relative: the worst value to the largest one, and the norm of the difference to the norm. */
interface RelativeError {
  worst: number;
  norm: number;
}

function compare(got: Float32Array, want: Float32Array): RelativeError {
  let most = 0, worst = 0, square = 0, off = 0;
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs(got[i] - want[i]);
    most = Math.max(most, Math.abs(want[i]));
    // A value that is no number is infinitely wrong.
    worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference);
    off += difference * difference;
    square += want[i] * want[i];
  }
  return { worst: worst / most, norm: Math.sqrt(off / square) };
}

/** The largest errors by kind of step. */
class Errors {
  readonly #kinds = new Map<string, RelativeError>();

  add(kind: string, { worst, norm }: RelativeError): void {
    const most = this.#kinds.get(kind) ?? { worst: 0, norm: 0 };
    this.#kinds.set(kind, { worst: Math.max(most.worst, worst), norm: Math.max(most.norm, norm) });
  }

  get(kind: string): string {
    const { worst, norm } = this.#kinds.get(kind) ?? { worst: NaN, norm: NaN };
    return `${worst.toExponential(1).padStart(9)} ${norm.toExponential(1).padStart(9)}`;
  }
}

/** `linearAdd down`: the op, and for linears which of them. */
function kindOf({ op, label }: Step): string {
  return op.startsWith("linear") || op === "normLinear" ? `${op} ${label.split(".").at(-1)}` : op;
}

const boundBuffers = (step: Step) => step.binds.filter((bound): bound is Buffer => bound?.kind === "buffer");
const rowsOf = (buffer: Buffer, batch: Batch) => (buffer.rows === "tokens" ? batch.tokens : batch.outputRows).length;

const queries = config.numAttentionHeads * config.headDim;

/** Runs all batches on both, comparing what each step wrote. With `given`, the reference gets the GPU's inputs. */
async function compareSteps(gpu: GpuExecutable, cpu: WasmExecutable, given: boolean): Promise<Errors> {
  const errors = new Errors();
  for (const batch of batches) {
    for (const [index, step] of program.steps.entries()) {
      if (given && index > 0) {
        for (const buffer of boundBuffers(step)) await cpu.write(buffer.name, await gpu.read(buffer.name, rowsOf(buffer, batch)));
      }
      await Promise.all([gpu.executeSteps(batch, index, index + 1), cpu.executeSteps(batch, index, index + 1)]);
      const out = boundBuffers(step).at(-1)!, rows = rowsOf(out, batch), [got, want] = [await gpu.read(out.name, rows), await cpu.read(out.name, rows)];
      // Rotated keys are in the cache alone on the GPU: attention shows them.
      const isRope = step.op === "ropeStore", seen = (values: Float32Array) => values.filter((_, i) => i % out.cols < queries);
      errors.add(kindOf(step), isRope ? compare(seen(got), seen(want)) : compare(got, want));
    }
  }
  return errors;
}

const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0 };

/** Tokens that the GPU draws on its own, one by one; the reference computes the same ones. */
async function compareTokens(gpu: GpuExecutable, cpu: Executable): Promise<string> {
  const errors = new Errors();
  let token = ids[prompt], equal = 0, farthest = 0;
  for (let i = 0; i < tokens; i++) {
    const batch = make.next([token], prompt + i, blockTable);
    const { tokens: [drawn] } = await gpu.decode({ batch, sampling: [greedy], steps: 1, rope: new Float32Array() });
    const got = await gpu.read("logits", 1), want = await cpu.execute(batch);
    errors.add("logits", compare(got, want));
    const best = want.reduce((best, value, id) => value > want[best] ? id : best, 0);
    equal += Number(drawn === best);
    farthest = Math.max(farthest, want[best] - want[drawn]);
    token = drawn;
  }
  return `${errors.get("logits")}; ${equal} of ${tokens} tokens are the reference's most likely one, the others' logits are at most ${
    farthest.toFixed(4)
  } lower`;
}

/** Layers that add little to the embedding, as trained ones do: others would make each error larger than the one before. */
const sizeOf = ({ name, cols }: Weight) => name === "embed" ? 2 : 1 / Math.sqrt(cols);

/** Both backends on one format. */
async function comparePrograms(format: Format, activations: CompileOptions["activations"]): Promise<void> {
  const gpu = await requestGpu(), blocks = blockTable.length, startMs = performance.now();
  const options: CompileOptions = {
    ...{ maxRows: Math.max(chunk, 16), maxOutputs: 16, maxSequences: 1, maxContext: blocks * blockSize, blockSize, blocks },
    ...{ cacheType: args.cache as CompileOptions["cacheType"], activations, formats: formatsOf(program, format), threads: Number(args.threads) },
  };
  const onGpu = await GpuExecutable.compile(gpu, program, options), backend = await createWasmBackend();
  const onCpu = await backend.compile(program, options) as WasmExecutable, memories = Math.ceil(backend.estimate(program, options) / 2 ** 32);
  writeRandom(program, (...rows) => [onGpu, onCpu].forEach((executable) => executable.writeRows(...rows)), format, sizeOf);
  await Promise.all([onGpu.finishWeights(), onCpu.finishWeights()]);
  const loadedMs = performance.now();
  console.log(`\n${format}, ${activations} activations, ${config.numHiddenLayers} layers of ${config.hiddenSize}, KV cache ${args.cache}, on ${gpu.name}`);
  if (memories === 1) {
    const added = await compareSteps(onGpu, onCpu, false), alone = await compareSteps(onGpu, onCpu, true);
    console.log(`${"relative error (worst value, norm)".padEnd(26)} |     the step alone | with all before it`);
    for (const kind of new Set(program.steps.map(kindOf))) console.log(`${kind.padEnd(34)} | ${alone.get(kind)} | ${added.get(kind)}`);
  } else {
    // Between its memories the CPU backend hands on only what later steps read.
    const errors = new Errors();
    for (const batch of batches) errors.add("logits", compare(await onGpu.execute(batch), await onCpu.execute(batch)));
    console.log(`${"logits".padEnd(34)} | ${" ".repeat(19)} | ${errors.get("logits")}`);
  }
  if (onGpu.whyNotPersistent) console.log(`no walk: ${onGpu.whyNotPersistent}`);
  else console.log(`${`logits of ${tokens} tokens of the walk`.padEnd(34)} | ${" ".repeat(19)} | ${await compareTokens(onGpu, onCpu)}`);
  console.log(`loaded in ${(loadedMs - startMs).toFixed(0)} ms, compared in ${(performance.now() - loadedMs).toFixed(0)} ms`);
  onGpu.close();
  onCpu.close();
  gpu.device.destroy();
}

for (const format of args.format.split(",") as Format[]) {
  for (const activations of args.activations.split(",") as CompileOptions["activations"][]) {
    if (activations === (format.startsWith("q") ? "auto" : "int8")) continue; // what the public API never asks for
    await comparePrograms(format, activations);
  }
}
Deno.exit(0);
