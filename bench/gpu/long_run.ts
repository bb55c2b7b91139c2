/**
 * A long answer in one go on the full SmolLM3-3B shape with random weights: whether memory of host and device grows, whether the tokens are those
 * of one step at a time (and for a start those drawn from logits that come to the host), tokens a second.
 *
 * `deno run -A --v8-flags=--expose-gc bench/gpu/long_run.ts [--tokens 10000] [--sampling greedy,drawn] [--format q4_0] [--host 300] [--layers 36] [--vocab 128256]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { compileModel } from "../../api/load_model.ts";
import { EngineCore } from "../../engine/engine_core.ts";
import type { Format } from "../../engine/formats.ts";
import type { SamplingOptions } from "../../engine/sampling_params.ts";
import { smolLM3 } from "../../engine/smollm3.ts";
import { createGpuBackend } from "../../gpu/backend.ts";
import { loadHost } from "../../wasm/host.ts";
import { formatsOf, fullShape, writeRandom } from "./model.ts";

const { values: args } = parseArgs({
  options: {
    tokens: { type: "string", default: "10000" },
    sampling: { type: "string", default: "greedy,drawn" },
    format: { type: "string", default: "q4_0" },
    layers: { type: "string", default: "36" },
    vocab: { type: "string", default: "128256" },
    host: { type: "string", default: "300" },
  },
});
const kinds: Record<string, SamplingOptions> = { greedy: { temperature: 0 }, drawn: { temperature: 0.8, topP: 0.95, seed: 11n } };
const tokens = Number(args.tokens), promptTokenIds = Array.from({ length: 512 }, (_, i) => i * 7919 % Number(args.vocab));

/** Buffers that were made and not destroyed, with their bytes. */
const live = new Map<GPUBuffer, number>();
const { createBuffer } = GPUDevice.prototype, { destroy } = GPUBuffer.prototype;
GPUDevice.prototype.createBuffer = function (descriptor) {
  const buffer = createBuffer.call(this, descriptor);
  live.set(buffer, descriptor.size);
  return buffer;
};
GPUBuffer.prototype.destroy = function () {
  live.delete(this);
  return destroy.call(this);
};

/** What is taken now: resident memory of this process, buffers by our own count, and what the driver says. */
function memory(): string {
  (globalThis as { gc?: () => void }).gc?.(); // with --v8-flags=--expose-gc
  const rss = Deno.memoryUsage().rss / 2 ** 20, bytes = live.values().reduce((sum, size) => sum + size, 0) / 2 ** 20;
  return `host ${rss.toFixed(0)} MiB, ${live.size} buffers of ${bytes.toFixed(1)} MiB, driver ${driverMemory()}`;
}

function driverMemory(): string {
  try {
    const args = ["--query-gpu=memory.used", "--format=csv,noheader"];
    return new TextDecoder().decode(new Deno.Command("nvidia-smi", { args }).outputSync().stdout).trim();
  } catch {
    return "unknown";
  }
}

const config = { ...fullShape(Number(args.layers), Number(args.vocab)), tieWordEmbeddings: false }, program = smolLM3(config), format = args.format as Format;
const { executable, rope, schedulerOptions } = await compileModel(await createGpuBackend(), config, program, formatsOf(program, format), {
  maxModelLen: promptTokenIds.length + tokens,
  maxNumSeqs: 1,
});
// Layers that add little to the embedding, as trained ones do; a head of its own, or each token would follow itself.
writeRandom(program, (...rows) => executable.writeRows(...rows), format, ({ name, cols }) => name === "embed" ? 2 : 1 / Math.sqrt(cols));
await executable.finishWeights();
const { sampler } = await loadHost(), ownSteps = executable.maxDecodeSteps ?? 0;
console.log(`${format}, ${config.numHiddenLayers} layers, at most ${ownSteps} steps a call; loaded: ${memory()}`);

/** Generates, with at most so many steps in a call of the device; 0: its logits come to the host. */
async function generate(steps: number, count: number, sampling: SamplingOptions): Promise<number[]> {
  Object.defineProperty(executable, "maxDecodeSteps", { value: steps, configurable: true });
  const scheduler = { ...schedulerOptions, enablePrefixCaching: false };
  const core = new EngineCore({ executable, rope, sampler, vocabSize: config.vocabSize, scheduler }), samples: string[] = [];
  const samplingParams = { ...sampling, maxTokens: count, ignoreEos: true, detokenize: false, outputKind: "delta" } as const, ids: number[] = [];
  let firstMs = 0;
  for await (const { outputs: [{ tokenIds }] } of core.add({ promptTokenIds, samplingParams })) {
    firstMs ||= performance.now();
    const quarter = Math.floor(4 * ids.length / count);
    ids.push(...tokenIds);
    if (ids.length === tokenIds.length || Math.floor(4 * ids.length / count) > quarter) samples.push(`  after ${ids.length} tokens: ${memory()}`);
  }
  const rate = (ids.length - 1) / (performance.now() - firstMs) * 1000;
  console.log(`${steps === 0 ? "logits on the host" : `${steps} steps a call`}: ${rate.toFixed(1)} tokens/s, ${new Set(ids).size} different tokens`);
  for (const sample of samples) console.log(sample);
  core.close();
  return ids;
}

function compare(what: string, ids: readonly number[], want: readonly number[]): void {
  const at = ids.findIndex((id, i) => id !== want[i]);
  console.log(at < 0 ? `${ids.length} tokens equal those of ${what}` : `differs from ${what} at token ${at} of ${ids.length}: ${ids[at]} and ${want[at]}`);
}

for (const kind of args.sampling.split(",")) {
  console.log(`\n${kind}`);
  const ahead = await generate(ownSteps, tokens, kinds[kind]), single = await generate(1, tokens, kinds[kind]);
  compare("several steps a call", single, ahead);
  compare("several steps a call", await generate(0, Number(args.host), kinds[kind]), ahead);
}
executable.close();
console.log(`\nclosed: ${memory()}`);
Deno.exit(0);
