/** `generate`, `stream` and the engine on a device that draws tokens: what comes out is what the host's sampler draws from the same device's logits. */
import { assert, assertEquals } from "@std/assert";
import { AutoModelForCausalLM, type CausalLM } from "../api/causal_lm.ts";
import type { GenerateOptions } from "../api/generate.ts";
import { TextStreamer } from "../api/text_streamer.ts";
import type { Backend, DecodeRequest } from "../engine/backend.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import { loadHost } from "../wasm/host.ts";
import { gpuTest } from "./gpu_test_case.ts";
import { fixturePath } from "./load_model.ts";
import { drawingOracle } from "./oracle_backend.ts";

const { sampler } = await loadHost();
const inputIds = [[5, 9, 33, 12, 90, 7, 8, 64], [0, 0, 11, 9, 33, 12, 90, 22]], attentionMask = [Array(8).fill(1), [0, 0, 1, 1, 1, 1, 1, 1]];
const sampled = { doSample: true, seed: 11, maxNewTokens: 24, eosTokenId: 3 } as const;

/** A tiny model. @param requests Gets those of its device; null: its device cannot draw. */
function load(backend: Backend, requests: DecodeRequest[] | null): Promise<CausalLM> {
  const watched: Backend = {
    ...backend,
    compile: async (program, options) => {
      const executable = await backend.compile(program, options);
      return {
        execute: (batch) => executable.execute(batch),
        ...requests && { maxDecodeSteps: executable.maxDecodeSteps, decode: (request) => (requests.push(request), executable.decode!(request)) },
        read: (buffer, rows) => executable.read(buffer, rows),
        writeRows: (tensor, firstRow, bytes) => executable.writeRows(tensor, firstRow, bytes),
        finishWeights: () => executable.finishWeights(),
        close: () => executable.close(),
      };
    },
  };
  return AutoModelForCausalLM.fromPretrained(fixturePath("tiny_models/base"), { backend: watched, dtype: "float32", maxNumSeqs: 6 });
}

/** Does something in no time, so that the device makes as many tokens at once as it can, however slow it is. */
async function inNoTime<T>(work: () => Promise<T>): Promise<T> {
  const { now } = performance;
  performance.now = () => 0;
  try {
    return await work();
  } finally {
    performance.now = now;
  }
}

/** Ways of generating, and whether the device draws every token of them. */
const ways: Record<string, [options: Partial<GenerateOptions>, isDrawn: boolean]> = {
  "greedy": [{ doSample: false, maxNewTokens: 24 }, true],
  "plain sampling": [{ ...sampled, topK: 0 }, true],
  "top-k, top-p, min-p and temperature": [{ ...sampled, temperature: 0.7, topK: 40, topP: 0.9, minP: 0.01 }, true],
  "several answers to each prompt": [{ ...sampled, numReturnSequences: 3, temperature: 1.4 }, true],
  "a repetition penalty": [{ ...sampled, repetitionPenalty: 1.3 }, true],
  "a repetition penalty that counts a gap": [{ ...sampled, attentionMask: [Array(8).fill(1), [0, 1, 1, 1, 0, 1, 1, 1]], repetitionPenalty: 1.3 }, false],
  "no n-gram twice": [{ doSample: false, maxNewTokens: 24, noRepeatNgramSize: 2, repetitionPenalty: 1.1 }, false],
  "a processor": [{ ...sampled, logitsProcessor: (_: readonly number[], logits: Float32Array) => logits.fill(-9, 0, 40) }, false],
  "scores and logits": [{ ...sampled, maxNewTokens: 4, returnDictInGenerate: true, outputScores: true, outputLogits: true }, false],
};

for (
  const [device, test, open] of [
    ["the oracle", Deno.test, () => Promise.resolve(drawingOracle(sampler))],
    ["webgpu", gpuTest, createGpuBackend],
  ] as const
) {
  for (const [name, [options, isDrawn]] of Object.entries(ways)) {
    test(`${device} draws what the host draws: ${name}`, async () => {
      const backend = await open(), requests: DecodeRequest[] = [], model = await load(backend, requests), plain = await load(backend, null);
      const call = { inputIds, attentionMask, ...options }, got = await inNoTime(() => model.generate(call));
      assertEquals(got, await plain.generate(call));
      assert(requests.length > 0);
      assertEquals(requests.every(({ sampling }) => !sampling.includes(undefined)), isDrawn);
      assertEquals(requests.some(({ steps }) => steps > 8), isDrawn);
      await Promise.all([model.dispose(), plain.dispose()]);
    });
  }

  test(`${device} draws, and streamers get each token while forward runs in between`, async () => {
    const backend = await open(), requests: DecodeRequest[] = [], model = await load(backend, requests), plain = await load(backend, null);
    const prompt = inputIds[0], options = { inputIds: prompt, ...sampled }, tokens: number[] = [];
    const { sequences: [sequence] } = await plain.generate(options), answer = sequence.slice(prompt.length);
    const streamer = new TextStreamer({ decode: (ids) => ids.map((id) => `${id} `).join("") }, { skipPrompt: true });
    streamer.onFinalizedText = (text) => tokens.push(...text.split(" ").filter(Boolean).map(Number));
    const [{ logits }] = await Promise.all([model.forward({ inputIds, logitsToKeep: 1 }), model.generate({ ...options, streamer })]);
    assertEquals([tokens, logits], [answer, (await plain.forward({ inputIds, logitsToKeep: 1 })).logits]);
    assert(requests.length > 1 && requests.every(({ sampling }) => sampling[0] !== undefined));
    await Promise.all([model.dispose(), plain.dispose()]);
  });
}
