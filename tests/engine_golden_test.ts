/** Many requests at once on real weights: the engine over the oracle gives each the tokens that it gets alone, which are those of Transformers. */
import { assert, assertEquals } from "@std/assert";
import { loadModel } from "../api/load_model.ts";
import { EngineCore } from "../engine/engine_core.ts";
import type { SamplingOptions } from "../engine/sampling_params.ts";
import { checkInvariants } from "./check_invariants.ts";
import { fixturePath } from "./load_model.ts";
import { gpuBackends, wasmBackends } from "./model_backends.ts";
import { oracleBackend } from "./oracle_backend.ts";

const readGolden = (name: string) => JSON.parse(Deno.readTextFileSync(fixturePath(`tiny_models/${name}/golden.json`)));
const causal = Array.from(Deno.readDirSync(fixturePath("tiny_models")), ({ name }) => name).filter((name) => !/classification|regression|answering/.test(name));

/** End of text of all tiny models. */
const eos = 2;

/** Answers greedily, all at once. */
async function answer(name: string, prompts: number[][], maxTokens: number, sizes: { blockSize: number; maxNumBatchedTokens: number; maxNumSeqs: number }) {
  const model = await loadModel(fixturePath(`tiny_models/${name}`), { backend: oracleBackend, dtype: "float32", ...sizes });
  const { executable, rope, config, host, schedulerOptions } = model;
  const core = new EngineCore({
    executable,
    rope,
    sampler: host.sampler,
    vocabSize: config.vocabSize,
    eosTokenIds: [eos],
    scheduler: schedulerOptions,
  });
  const samplingParams = { temperature: 0, maxTokens, detokenize: false };
  const outputs = await Promise.all(prompts.map((promptTokenIds) => core.add({ promptTokenIds, samplingParams }).result()));
  checkInvariants(core.scheduler);
  assertEquals(core.pool.free, core.pool.blocks);
  executable.close();
  return outputs.map(({ outputs: [{ tokenIds }] }) => tokenIds);
}

for (const name of causal.sort()) {
  Deno.test(`tiny_models/${name} answers a padded batch as Transformers does`, async () => {
    const { input_ids: ids, attention_mask: mask, generate_greedy: greedy } = readGolden(name);
    const prompts: number[][] = ids.map((row: number[], b: number) => row.filter((_, i) => mask[b][i] === 1));
    const answers = await answer(name, prompts, greedy[0].length, { blockSize: 16, maxNumBatchedTokens: 8, maxNumSeqs: 2 });
    // Transformers pads after the end, and computes dynamic frequencies for the longest row of a batch; ours belong to each request.
    const expected = greedy.map((row: number[]) => row.includes(eos) ? row.slice(0, row.indexOf(eos) + 1) : row), rows = name === "rope_dynamic" ? 1 : 2;
    assertEquals(answers.slice(0, rows), expected.slice(0, rows));
  });
}

/** The greedy cases of `generation_golden.json`: prompts and what Transformers answers. */
const stories: { prompt: number[]; answer: number[] }[] = JSON.parse(Deno.readTextFileSync(fixturePath("transformers/generation_golden.json"))).cases
  .filter(({ name }: { name: string }) => /^greedy/.test(name))
  .map((story: { input_ids: number[][]; output_ids: number[][] }) => ({ prompt: story.input_ids[0], answer: story.output_ids[0] }));

for (const [i, backend] of [...wasmBackends, ...gpuBackends].entries()) {
  // Software adapters are slow.
  const [maxTokens, maxDrawn, roomTokens] = backend.name === "webgpu" ? [12, 4, 160] : [64, 16, 360];
  for (const blockSize of ["wasm, 2 threads", "webgpu"].includes(backend.name) ? [1, 16, 64] : [16]) {
    Deno.test(`8 requests at once give the ids of 8 alone, blocks of ${blockSize}, ${backend.name}`, async () => {
      const sizes = { blockSize, maxNumBatchedTokens: 24, maxNumSeqs: 8, maxModelLen: 128 };
      const model = await loadModel("embedded", { ...await backend.options(), dtype: "float32", ...sizes });
      const { executable, rope, config, host, schedulerOptions } = model;
      // So few blocks that not all fit at once: some start over.
      const scheduler = { ...schedulerOptions, blocks: Math.ceil(roomTokens / blockSize) };
      const core = new EngineCore({ executable, rope, sampler: host.sampler, vocabSize: config.vocabSize, eosTokenIds: config.eosTokenIds, scheduler });
      const ask = async ({ prompt }: typeof stories[number], options: SamplingOptions) => {
        const output = await core.add({ promptTokenIds: prompt, samplingParams: { maxTokens, detokenize: false, ...options } }).result();
        return output.outputs[0].tokenIds;
      };
      const eight = stories.slice(0, 8);
      assertEquals(await Promise.all(eight.map((story) => ask(story, { temperature: 0 }))), eight.map(({ answer }) => answer.slice(0, maxTokens)));
      const blocksOf = (tokens: number) => Math.ceil(tokens / blockSize);
      if (eight.some(({ prompt: { length } }) => blocksOf(length + maxTokens) > blocksOf(length + 1))) {
        assert(core.metrics().preemptions > 0, "the cache is too large for this test");
      }
      // Drawn ones, too: each with its seed, with neighbours and without.
      const drawn = (story: typeof stories[number], seed: number) => ask(story, { seed, temperature: 0.9, topP: 0.95, maxTokens: maxDrawn });
      const together = await Promise.all(eight.map(drawn)), alone: unknown[] = [];
      for (const [seed, story] of eight.entries()) if (seed % 3 === i % 3) alone.push(await drawn(story, seed));
      assertEquals(together.filter((_, seed) => seed % 3 === i % 3), alone);
      checkInvariants(core.scheduler);
      assertEquals(core.pool.free, core.pool.blocks);
      core.close();
      executable.close();
    });
  }
}
