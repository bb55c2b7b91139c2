/**
 * Names that scripts depend on: exports, methods and fields.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as smolder from "../mod.ts";

const classes: Record<string, { static?: string[]; methods?: string[] }> = {
  AutoConfig: { static: ["fromPretrained"] },
  SmolLM3Config: { static: ["fromPretrained"] },
  AutoTokenizer: { static: ["fromPretrained"], methods: ["encode", "encodeBatch", "decode", "batchDecode", "applyChatTemplate"] },
  AutoModelForCausalLM: { static: ["fromPretrained"] },
  SmolLM3ForCausalLM: { static: ["fromPretrained"], methods: ["forward", "generate", "stream", "dispose"] },
  Engine: { static: ["fromPretrained"], methods: ["generate", "metrics", "dispose"] },
  Scheduler: { methods: ["add", "remove", "schedule", "commit"] },
  GenerationConfig: {},
  SamplingParams: {},
  TextStreamer: { methods: ["put", "end", "onFinalizedText"] },
};

Deno.test("classes have the documented names and methods", () => {
  const exports = smolder as unknown as Record<string, Record<string, unknown> & { prototype: Record<string, unknown> }>;
  assertEquals(typeof smolder.pipeline, "function");
  for (const [name, { static: own = [], methods = [] }] of Object.entries(classes)) {
    assertEquals(typeof exports[name], "function", name);
    for (const method of own) assertEquals(typeof exports[name][method], "function", `${name}.${method}`);
    for (const method of methods) assert(method in exports[name].prototype, `${name}.prototype.${method}`);
  }
});

Deno.test("the engine counts what the documentation says", async () => {
  await using engine = await smolder.Engine.fromPretrained("embedded", { device: "wasm" });
  const metrics = engine.metrics() as unknown as Record<string, unknown>;
  for (const name of ["running", "waiting", "cacheUsage", "prefixCacheHitRate", "tokensPerSecond"]) assertEquals(typeof metrics[name], "number", name);
});

Deno.test("what encodes gives ids, masks and offsets in rows; what streams gives tokens with text", async () => {
  const tokenizer = await smolder.AutoTokenizer.fromPretrained("embedded");
  const batch = tokenizer.encodeBatch(["a", "b c"], { padding: true, paddingSide: "left", returnOffsetsMapping: true });
  assertEquals(Object.keys(batch), ["inputIds", "attentionMask", "offsetMapping"]);
  assertEquals(new Set(batch.inputIds.map((row) => row.length)).size, 1);
  const chat = tokenizer.applyChatTemplate([{ role: "user", content: "Hi" }], { addGenerationPrompt: true });
  assertEquals(Object.keys(chat), ["inputIds", "attentionMask"]);
  await using model = await smolder.AutoModelForCausalLM.fromPretrained("embedded", { device: "wasm" });
  const { logits } = await model.forward({ inputIds: [1, 2], logitsToKeep: 1 });
  assertEquals([logits.shape, logits.data.length], [[1, 1, 4096], 4096]);
  const pieces = [];
  for await (const piece of model.stream({ ...chat, maxNewTokens: 2, doSample: false, logprobs: true })) pieces.push(piece);
  assertEquals(pieces.map((piece) => [typeof piece.tokenId, typeof piece.text, typeof piece.logprob]), [
    ["number", "string", "number"],
    ["number", "string", "number"],
  ]);
  assertEquals(pieces.map(({ finishReason }) => finishReason), [undefined, "length"]);
});
