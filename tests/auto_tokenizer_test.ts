/** `AutoTokenizer` as interface.md has it. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AutoTokenizer } from "../api/auto_tokenizer.ts";
import { loadHost } from "../wasm/host.ts";
import { tokenizerSpec } from "./tokenizers.ts";

const tokenizer = await AutoTokenizer.fromPretrained("embedded");

Deno.test("special tokens, sizes and the template come from the files", () => {
  assertEquals([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.padTokenId], [null, 4087, 4085]);
  assertEquals([tokenizer.vocabSize, tokenizer.modelMaxLength], [4096, 2048]);
  assert(tokenizer.chatTemplate?.includes("<|im_start|>"));
  assertEquals(tokenizer.tokenToId("<|im_end|>"), 4087);
  assertEquals(tokenizer.tokenToId("<|nothing|>"), null);
});

Deno.test("encode and decode", () => {
  const ids = tokenizer.encode("Hello <|im_end|>");
  assert(Array.isArray(ids));
  assertEquals(tokenizer.decode(ids), "Hello <|im_end|>");
  assertEquals(tokenizer.decode(ids, { skipSpecialTokens: true }), "Hello ");
  assertEquals(tokenizer.batchDecode([ids, [], [ids[0]]], { skipSpecialTokens: true }), ["Hello ", "", tokenizer.decode([ids[0]])]);
  assertEquals(tokenizer.encode(""), []);
  assertThrows(() => tokenizer.encode(undefined as unknown as string), TypeError, "Cannot encode undefined");
});

Deno.test("special tokens around a text, unless told not to", async () => {
  const spec = { ...await tokenizerSpec("tiny"), prefix: [1], suffix: [2, 3] };
  const files = { config: {}, chatTemplate: null, spec: () => Promise.resolve(spec) };
  const edged = await AutoTokenizer.fromFiles(files, await loadHost()), plain = tokenizer.encode("a b c d");
  assertEquals(edged.encode("a b c d"), [1, ...plain, 2, 3]);
  assertEquals(edged.encode("a b c d", { addSpecialTokens: false }), plain);
  const batch = edged.encodeBatch(["a b c d"], { truncation: true, maxLength: 5, returnOffsetsMapping: true });
  assertEquals(batch.inputIds, [[1, ...plain.slice(0, 2), 2, 3]]);
  assertEquals(batch.offsetMapping?.[0].map(([start]) => start), [0, 0, 2, 0, 0]);
  assertEquals(edged.modelMaxLength, Infinity);
  assertThrows(() => edged.encodeBatch(["a"], { padding: "max_length" }), TypeError, "give maxLength");
  assertThrows(() => edged.encodeBatch(["a", "a b"], { padding: true }), TypeError, "no padding token");
  assertThrows(() => edged.applyChatTemplate([]), TypeError, "the model's files have none");
  edged.free();
});

Deno.test("batches: padding, truncation, attention mask and offsets", () => {
  const long = tokenizer.encode("one two three four"), short = tokenizer.encode("one");
  const pad = (count: number) => new Array(count).fill(tokenizer.padTokenId),
    zeros = (count: number) => new Array(count).fill(0),
    ones = (count: number) => new Array(count).fill(1);
  const missing = long.length - short.length;
  const texts = ["one two three four", "one"];
  assertEquals(tokenizer.encodeBatch(texts), { inputIds: [long, short], attentionMask: [ones(long.length), ones(short.length)] });
  assertEquals(tokenizer.encodeBatch(texts, { padding: true }).inputIds, [long, [...short, ...pad(missing)]]);
  const left = tokenizer.encodeBatch(texts, { padding: "longest", paddingSide: "left", returnOffsetsMapping: true });
  assertEquals(left.inputIds, [long, [...pad(missing), ...short]]);
  assertEquals(left.attentionMask, [ones(long.length), [...zeros(missing), ...ones(short.length)]]);
  assertEquals(left.offsetMapping?.[1].slice(0, missing), pad(missing).map(() => [0, 0]));
  assertEquals(left.offsetMapping?.[0].map(([start, end]) => texts[0].slice(start, end)).join(""), "onetwothreefour");
  const cut = tokenizer.encodeBatch(texts, { truncation: true, maxLength: 2, padding: "max_length" });
  assertEquals(cut.inputIds, [long.slice(0, 2), [...short, ...pad(2 - short.length)].slice(0, 2)]);
  assertEquals(tokenizer.encodeBatch([]), { inputIds: [], attentionMask: [] });
  assertThrows(() => tokenizer.encodeBatch(["a"], { truncation: true, maxLength: 0 }), RangeError, "maxLength");
  assertThrows(() => tokenizer.encodeBatch(["a"], { padding: "left" as "longest" }), TypeError, "padding");
  assertThrows(() => tokenizer.encodeBatch(["a"], { paddingSide: "up" as "left" }), TypeError, "paddingSide");
  assertThrows(() => tokenizer.encodeBatch("a" as unknown as string[]), TypeError, "list of strings");
});

Deno.test("chats: text or ids, variables in snake_case, a day of one's choice", () => {
  const messages = [{ role: "user", content: "Hi" }];
  const prompt = tokenizer.applyChatTemplate(messages, { tokenize: false, addGenerationPrompt: true });
  assertEquals(prompt, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  const { inputIds, attentionMask } = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  assertEquals(inputIds, [tokenizer.encode(prompt)]);
  assertEquals(attentionMask, [inputIds[0].map(() => 1)]);
  const chatTemplate = "{{ enable_thinking }} {{ xml_tools }} {{ tools }} {{ strftime_now('%d %B %Y') }} {{ eos_token }} {{ add_generation_prompt }}";
  assertEquals(
    tokenizer.applyChatTemplate(messages, { tokenize: false, chatTemplate, enableThinking: false, xmlTools: ["x"], date: "2025-07-10" }),
    "False ['x'] None 10 July 2025 <|im_end|> False",
  );
  assertEquals(tokenizer.applyChatTemplate(messages, { tokenize: false, chatTemplate: "{{ strftime_now('%H') }}", date: new Date(2025, 1, 1, 7) }), "07");
  assertEquals(
    tokenizer.applyChatTemplate([...messages, { role: "assistant", content: "So, " }], { tokenize: false, continueFinalMessage: true }),
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nSo, ",
  );
  assertThrows(() => tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true, continueFinalMessage: true }), TypeError, "exclude each other");
  assertThrows(() => tokenizer.applyChatTemplate(messages, { date: "tomorrow" }), RangeError, "Option date");
  assertThrows(() => tokenizer.applyChatTemplate("Hi" as never), TypeError, "expected a list of messages");
});

Deno.test("a field of a message that is null is one that is not there", () => {
  const messages = [{ role: "user", content: "Hi" }, { role: "assistant", content: null, tool_calls: null }];
  assertEquals(tokenizer.applyChatTemplate(messages, { tokenize: false }), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n");
});

Deno.test("an empty text is padded with its offsets", () => {
  const batch = tokenizer.encodeBatch(["", "a"], { padding: true, paddingSide: "left", returnOffsetsMapping: true });
  assertEquals(batch.inputIds[0], [4085]);
  assertEquals(batch.offsetMapping, [[[0, 0]], [[0, 1]]]);
});

Deno.test("several templates with names: the one for tools, or the one that is asked for", async () => {
  const config = { chat_template: [{ name: "default", template: "plain" }, { name: "tool_use", template: "tools" }, { name: "rag", template: "rag" }] };
  const named = await AutoTokenizer.fromFiles({ config, chatTemplate: "plain", spec: () => tokenizerSpec("tiny") }, await loadHost());
  assertEquals(named.applyChatTemplate([], { tokenize: false }), "plain");
  assertEquals(named.applyChatTemplate([], { tokenize: false, tools: [{ name: "x" }] }), "tools");
  assertEquals(named.applyChatTemplate([], { tokenize: false, chatTemplate: "rag" }), "rag");
  named.free();
});

Deno.test("from a GGUF file: the same ids as from the folder it was made of", async () => {
  const path = new URL("fixtures/gguf/smollm3-tiny-Q4_K_M.gguf", import.meta.url).pathname;
  const gguf = await AutoTokenizer.fromPretrained(path), text = "It's <|im_end|> 12345 漢字 🙂  \n\n x";
  assertEquals(gguf.encode(text), tokenizer.encode(text));
  assertEquals([gguf.eosTokenId, gguf.vocabSize], [tokenizer.eosTokenId, tokenizer.vocabSize]);
  gguf.free();
});

Deno.test("what is missing is named", async () => {
  await assertRejects(() => AutoTokenizer.fromPretrained("./no/such/folder"), Deno.errors.NotFound, "no/such/folder");
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/config.json`, "{}");
    await assertRejects(() => AutoTokenizer.fromPretrained(folder), Deno.errors.NotFound, "tokenizer.json");
    await Deno.writeTextFile(`${folder}/tokenizer.json`, '{"model":{"type":"BPE","vocab":{}}}');
    await assertRejects(() => AutoTokenizer.fromPretrained(folder), TypeError, "model.merges is missing");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
