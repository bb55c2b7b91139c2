/** Many requests at once on real weights: the engine over the oracle gives each the tokens that it gets alone, which are those of Transformers. */
import { assertEquals } from "@std/assert";
import { loadModel } from "../api/load_model.ts";
import { EngineCore } from "../engine/engine_core.ts";
import { RopeTable } from "../engine/rope.ts";
import { checkInvariants } from "./check_invariants.ts";
import { fixturePath, roundedFrequencies } from "./load_model.ts";
import { oracleBackend } from "./oracle_backend.ts";

const readGolden = (name: string) => JSON.parse(Deno.readTextFileSync(fixturePath(`tiny_models/${name}/golden.json`)));
const causal = Array.from(Deno.readDirSync(fixturePath("tiny_models")), ({ name }) => name).filter((name) => !/classification|regression|answering/.test(name));

/** End of text of all tiny models. */
const eos = 2;

/** Answers greedily, all at once. */
async function answer(name: string, prompts: number[][], maxTokens: number, sizes: { blockSize: number; maxNumBatchedTokens: number; maxNumSeqs: number }) {
  const model = await loadModel(fixturePath(`tiny_models/${name}`), { backend: oracleBackend, dtype: "float32", ...sizes });
  const { executable, config, host, schedulerOptions } = model;
  const rope = new RopeTable(roundedFrequencies(config, prompts[0].length));
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

for (const blockSize of [1, 16, 64]) {
  Deno.test(`8 requests at once give the ids of 8 alone on real weights, blocks of ${blockSize}`, async () => {
    const prompts = Array.from({ length: 8 }, (_, i) => Array.from({ length: 3 + 11 * i % 29 }, (_, j) => (i % 3 * 37 + j * 5) % 128));
    const sizes = { blockSize, maxNumBatchedTokens: 16, maxNumSeqs: 8 };
    const alone: (readonly number[])[] = [];
    for (const prompt of prompts) alone.push(...await answer("base", [prompt], 16, sizes));
    assertEquals(await answer("base", prompts, 16, sizes), alone);
  });
}
