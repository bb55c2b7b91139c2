/**
 * Generation with the embedded model against outputs of Transformers in float32.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import type { GenerateOptions } from "../api/generate.ts";
import type { Message } from "../api/auto_tokenizer.ts";
import { pipeline, type TextGenerationOptions } from "../api/pipeline.ts";
import { GenerationConfig } from "../engine/generation_config.ts";
import { gpuBackends, type ModelBackend, wasmBackends } from "./model_backends.ts";
import { goldenLogitsTolerance } from "./tolerances.ts";

/** `generation_golden.json`; options in snake_case. */
interface Goldens {
  cases: {
    name: string;
    prompt: string | string[];
    input_ids: number[][];
    attention_mask?: number[][];
    generate: Record<string, unknown>;
    output_ids: number[][];
    text: string[];
  }[];
  scores: { prompt: string; generate: Record<string, unknown>; scores_top8: [number, number][][]; logits_top8: [number, number][][] };
  pipelines: { input: string | string[] | Message[]; args: Record<string, unknown>; output: unknown }[];
  losses: { input_ids: number[]; loss: number }[];
}

const goldens: Goldens = JSON.parse(Deno.readTextFileSync(new URL("fixtures/transformers/generation_golden.json", import.meta.url)));
/** Ways of generating that are not there yet. */
const isLater = (options: Record<string, unknown>) => options.num_beams !== undefined || options.prompt_lookup_num_tokens !== undefined;
const cases = goldens.cases.filter(({ generate }) => !isLater(generate));
const greedy = { doSample: false } as const;

async function load(backend: ModelBackend) {
  return await AutoModelForCausalLM.fromPretrained("embedded", { ...await backend.options(), dtype: "float32" });
}

Deno.test("what is not tested here is refused", async () => {
  await using model = await load(wasmBackends[0]);
  const later = goldens.cases.filter(({ generate }) => isLater(generate));
  assertEquals([cases.length, later.length], [24, 4]);
  for (const { input_ids: inputIds, generate } of later) {
    const message = await model.generate({ inputIds, ...GenerationConfig.fromJson(generate), ...greedy }).catch((error) => error.message);
    assert(/not supported yet/.test(message), message);
  }
});

for (const [index, backend] of [...wasmBackends, ...gpuBackends].entries()) {
  Deno.test(`every greedy, penalty, padded-batch, stop-string and length case on ${backend.name}`, async (t) => {
    await using model = await load(backend);
    const tokenizer = await model.tokenizer();
    // All of them on the first, one of each kind on the others.
    const some = cases.filter(({ name }, i) => index === 0 || cases.findIndex((other) => other.name === name) === i);
    for (const { name, prompt, input_ids: inputIds, attention_mask: attentionMask, generate, output_ids: expected, text } of some) {
      await t.step(`${name}: ${prompt}`, async () => {
        const { sequences } = await model.generate({ inputIds, attentionMask, ...GenerationConfig.fromJson(generate), ...greedy });
        assertEquals(sequences.map((sequence) => sequence.slice(0, inputIds[0].length)), inputIds);
        const answers = sequences.map((sequence) => sequence.slice(inputIds[0].length));
        assertEquals(answers, expected);
        assertEquals(tokenizer.batchDecode(answers, { skipSpecialTokens: true }), text);
      });
    }
  });
}

Deno.test("prompts become the tokens of Transformers", async () => {
  await using model = await load(wasmBackends[0]);
  const tokenizer = await model.tokenizer();
  for (const { name, prompt, input_ids: inputIds } of cases) {
    if (Array.isArray(prompt)) {
      assertEquals(tokenizer.encodeBatch(prompt, { padding: true, paddingSide: "left" }).inputIds, inputIds);
    } else if (name === "greedy_chat") {
      assertEquals(tokenizer.applyChatTemplate([{ role: "user", content: prompt }], { addGenerationPrompt: true }).inputIds, inputIds);
    } else if (name === "greedy_text") assertEquals(tokenizer.encode(prompt), inputIds[0]);
  }
});

Deno.test("all cases at once give what each gives alone", async () => {
  await using model = await load(wasmBackends[1]);
  const sequences = await Promise.all(cases.map(async ({ input_ids: inputIds, attention_mask: attentionMask, generate }) => {
    const output = await model.generate({ inputIds, attentionMask, ...GenerationConfig.fromJson(generate), ...greedy });
    return output.sequences.map((sequence) => sequence.slice(inputIds[0].length));
  }));
  assertEquals(sequences, cases.map(({ output_ids }) => output_ids));
});

Deno.test("scores and logits of each step", async () => {
  await using model = await load(wasmBackends[1]);
  const { prompt, generate, scores_top8: scoresTop8, logits_top8: logitsTop8 } = goldens.scores;
  const inputIds = (await model.tokenizer()).encode(prompt);
  const options: GenerateOptions = { inputIds, ...GenerationConfig.fromJson(generate), ...greedy };
  assertEquals(Object.keys(await model.generate(options)), ["sequences"]);
  const { scores, logits } = await model.generate({ ...options, returnDictInGenerate: true, outputScores: true, outputLogits: true });
  for (const [tensors, expected] of [[scores!, scoresTop8], [logits!, logitsTop8]] as const) {
    assertEquals(tensors.length, expected.length);
    tensors.forEach(({ data, shape }, step) => {
      assertEquals(shape, [1, 4096]);
      const top = [...data.keys()].sort((a, b) => data[b] - data[a]).slice(0, 8);
      assertEquals(top, expected[step].map(([id]) => id));
      top.forEach((id, i) => assertAlmostEquals(data[id], expected[step][i][1], goldenLogitsTolerance));
    });
  }
});

Deno.test("losses", async () => {
  await using model = await load(wasmBackends[1]);
  for (const { input_ids: inputIds, loss } of goldens.losses) {
    assertAlmostEquals((await model.forward({ inputIds, labels: inputIds })).loss!, loss, goldenLogitsTolerance);
  }
});

Deno.test("pipelines", async () => {
  await using generator = await pipeline("text-generation", "embedded", { ...await wasmBackends[1].options(), dtype: "float32" });
  const some = goldens.pipelines.filter(({ args }) => !isLater(args));
  assertEquals(some.length, 5);
  for (const { input, args: { return_full_text: returnFullText, ...options }, output } of some) {
    const call: TextGenerationOptions = {
      ...GenerationConfig.fromJson(options),
      ...(returnFullText !== undefined && { returnFullText: returnFullText as boolean }),
    };
    const actual = await generator(input as string, call);
    assertEquals(JSON.parse(JSON.stringify(actual).replaceAll("generatedText", "generated_text")), output);
  }
  const chats = [[{ role: "user", content: "Hello!" }], [{ role: "user", content: "What is rain?" }]];
  const drawn = await generator(chats, { maxNewTokens: 4, numReturnSequences: 3, returnFullText: false, seed: 5 });
  assertEquals(drawn.map((answers) => answers.length), [3, 3]);
  assertEquals(drawn, await generator(chats, { maxNewTokens: 4, numReturnSequences: 3, returnFullText: false, seed: 5 }));
});
