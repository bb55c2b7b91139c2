import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Engine, type GenerateRequest } from "./engine.ts";

const goldens: { prompt: string; text: string[]; input_ids: number[][]; output_ids: number[][]; name: string }[] = JSON.parse(
  Deno.readTextFileSync(new URL("../tests/fixtures/transformers/generation_golden.json", import.meta.url)),
).cases;
const chats = goldens.filter(({ name }) => name === "greedy_chat"), texts = goldens.filter(({ name }) => name === "greedy_text");
const load = () => Engine.fromPretrained("embedded", { device: "wasm", threads: 2, dtype: "float32", maxNumSeqs: 4, maxModelLen: 256, cacheBytes: 2 ** 24 });
const greedy = { temperature: 0, maxTokens: 64 };

Deno.test("chats, texts and tokens at once get the golden answers", async () => {
  await using engine = await load();
  const requests: GenerateRequest[] = [
    ...chats.map(({ prompt }) => ({ messages: [{ role: "user", content: prompt }] })),
    ...texts.map(({ prompt }) => ({ prompt })),
    ...texts.map(({ input_ids }) => ({ promptTokenIds: input_ids[0] })),
  ];
  const outputs = await Promise.all(requests.map((request) => engine.generate({ ...request, samplingParams: greedy }).result()));
  const cases = [...chats, ...texts, ...texts];
  assertEquals(outputs.map(({ promptTokenIds }) => promptTokenIds), cases.map(({ input_ids }) => input_ids[0]));
  assertEquals(outputs.map(({ outputs: [{ text }] }) => text), cases.map(({ text }) => text[0]));
  assertEquals(outputs.map(({ prompt }) => prompt), requests.map(({ prompt }) => prompt));
  const { running, waiting, cacheUsage, prefixCacheHitRate, tokensPerSecond, finished, generatedTokens } = engine.metrics();
  assertEquals([running, waiting, cacheUsage, finished.abort, finished.stop + finished.length], [0, 0, 0, 0, requests.length]);
  assertEquals(generatedTokens, outputs.reduce((sum, { outputs: [{ tokenIds }] }) => sum + tokenIds.length, 0));
  assert(tokensPerSecond > 0 && prefixCacheHitRate >= 0);
});

Deno.test("the pieces of a stream join to its text; a question asked again costs no more than its end", async () => {
  await using engine = await load();
  const [{ text: [text] }] = chats, messages = [{ role: "user", content: chats[0].prompt }], pieces: string[] = [];
  for await (const { outputs: [output] } of engine.generate({ messages, samplingParams: { ...greedy, outputKind: "delta" } })) pieces.push(output.text);
  assertEquals([pieces.join(""), pieces.length > 20], [text, true]);
  const { numCachedTokens, promptTokenIds } = await engine.generate({ messages, samplingParams: greedy }).result();
  assertEquals(numCachedTokens, Math.floor((promptTokenIds.length - 1) / 16) * 16);
});

Deno.test("options of the chat template reach it, and an answer can be gone on with", async () => {
  await using engine = await load();
  const messages = [{ role: "user", content: "Hello!" }, { role: "assistant", content: "Hello! I'm" }], samplingParams = greedy;
  const { outputs: [{ text }] } = await engine.generate({ messages, samplingParams, chatTemplateOptions: { continueFinalMessage: true } }).result();
  assertEquals("Hello! I'm" + text, goldens.find(({ prompt, name }) => prompt === "Hello!" && name === "greedy_chat")!.text[0]);
});

Deno.test("what cannot be served is refused, and the engine goes on", async () => {
  await using engine = await load();
  const refuse = (request: unknown, error: typeof TypeError | typeof RangeError, message: string) =>
    assertThrows(() => engine.generate(request as GenerateRequest), error, message);
  refuse({}, TypeError, "exactly one of prompt, promptTokenIds and messages, got none");
  refuse({ prompt: "a", messages: [] }, TypeError, "got prompt and messages");
  refuse({ prompt: "" }, RangeError, "empty prompt");
  refuse({ prompt: 5 }, TypeError, "expected a string");
  refuse({ promptTokenIds: Array(256).fill(1) }, RangeError, "a prompt of 256 tokens: the context holds 256");
  refuse({ promptTokenIds: [5000] }, RangeError, "token id 5000 at position 0");
  refuse({ prompt: "a", samplingParams: { temperature: -1 } }, RangeError, "temperature must be at least 0, got -1");
  assertEquals((await engine.generate({ prompt: texts[0].prompt, samplingParams: greedy }).result()).outputs[0].text, texts[0].text[0]);
});

Deno.test("an engine that is disposed rejects what is pending and what comes later; disposing twice is fine", async () => {
  const engine = await load(),
    pending = assertRejects(() => engine.generate({ prompt: "Once", samplingParams: { maxTokens: null } }).result(), Error, "disposed");
  await engine.generate({ prompt: "Twice", samplingParams: { maxTokens: 2, temperature: 0 } }).result();
  await engine.dispose();
  await pending;
  await engine.dispose();
  assertThrows(() => engine.generate({ prompt: "Thrice" }), Error, "The engine is disposed");
});
