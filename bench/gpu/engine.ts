/**
 * What users of the engine get: requests at once on a model of random weights, tokens a second in all. Three ways: as many steps a call as the time
 * allows, one step a call, and logits that come to the host for each token. Ids are compared.
 *
 * `deno run -A bench/gpu/engine.ts [--format bf16] [--requests 1,32] [--prompt 128] [--tokens 128] [--temperature 0] [--shape smollm3-3b] [--device webgpu]`
 */
import { parseArgs } from "node:util";
import type { DeviceName } from "../../api/device.ts";
import { loadRandomModel, type RandomFormat } from "../../cli/random_model.ts";
import type { Executable } from "../../engine/backend.ts";
import { EngineCore } from "../../engine/engine_core.ts";
import { loadHost } from "../../wasm/host.ts";

const { values } = parseArgs({
  options: {
    format: { type: "string", default: "bf16" },
    requests: { type: "string", default: "1,32" },
    prompt: { type: "string", default: "128" },
    tokens: { type: "string", default: "128" },
    temperature: { type: "string", default: "0" },
    shape: { type: "string", default: "smollm3-3b" },
    device: { type: "string", default: "webgpu" },
  },
});
const counts = values.requests.split(",").map(Number), promptLength = Number(values.prompt), maxTokens = Number(values.tokens);
const { executable, rope, config, schedulerOptions, deviceReason } = await loadRandomModel(values.shape, values.format as RandomFormat, {
  device: values.device as DeviceName,
  maxNumSeqs: Math.max(...counts),
  maxModelLen: promptLength + maxTokens,
  cacheBytes: Math.max(...counts) * (promptLength + maxTokens + 16) * 2 ** 17,
});
const { sampler } = await loadHost(), { maxDecodeSteps = 0 } = executable;
console.log(`${values.shape} ${values.format}, ${deviceReason}; at most ${maxDecodeSteps} steps a call`);

/** The same device, with no more steps a call; counts the calls that go ahead and their steps. */
function limited(most: number, seen: number[]): Executable {
  return {
    maxDecodeSteps: most,
    execute: (batch) => executable.execute(batch),
    decode: (request) => {
      if (request.batch.tokens.length === request.batch.contextLengths.length) seen.push(request.steps);
      return executable.decode!(request);
    },
    draw: executable.draw?.bind(executable),
    read: (buffer, rows) => executable.read(buffer, rows),
    writeRows: (tensor, row, bytes) => executable.writeRows(tensor, row, bytes),
    finishWeights: () => executable.finishWeights(),
    close: () => executable.close(),
  };
}

async function run(count: number, most: number) {
  const seen: number[] = [];
  const core = new EngineCore({ executable: limited(most, seen), rope, sampler, vocabSize: config.vocabSize, scheduler: schedulerOptions });
  const samplingParams = { temperature: Number(values.temperature), maxTokens, detokenize: false, ignoreEos: true };
  const outputs = await Promise.all(Array.from({ length: count }, (_, request) => {
    const promptTokenIds = Array.from({ length: promptLength }, (_, i) => (request * 7919 + i * 104729 + 17) % config.vocabSize);
    return core.add({ promptTokenIds, samplingParams: { ...samplingParams, seed: request } }).result();
  }));
  // From the moment at which all have their first token.
  const startMs = Math.max(...outputs.map(({ timings }) => timings.firstTokenMs!)), endMs = Math.max(...outputs.map(({ timings }) => timings.finishedMs!));
  const meanSteps = seen.reduce((sum, steps) => sum + steps, 0) / Math.max(1, seen.length);
  return { ids: outputs.flatMap(({ outputs: [{ tokenIds }] }) => tokenIds), rate: count * (maxTokens - 1) / (endMs - startMs) * 1000, meanSteps };
}

for (const count of counts) {
  const ways = [["as many steps a call as fit", maxDecodeSteps], ["one step a call", Math.min(1, maxDecodeSteps)], ["logits on the host", 0]] as const;
  let first: readonly number[] | undefined;
  for (const [name, most] of ways) {
    await run(count, most); // kernels are compiled when they are first needed
    const { ids, rate, meanSteps } = await run(count, most);
    first ??= ids;
    const equal = ids.filter((id, i) => id === first![i]).length;
    console.log(
      `  ${count} requests, ${name}: ${rate.toFixed(0)} tokens/s in all, ${
        meanSteps.toFixed(1)
      } steps a call; ${equal} of ${ids.length} ids as the first way's`,
    );
  }
}
executable.close();
Deno.exit(0);
