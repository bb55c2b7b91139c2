/**
 * What users do wrong, at the outermost interface: a message that names the thing and the fix, and nothing lost or left hanging.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { AutoModelForCausalLM, AutoTokenizer, Engine } from "../mod.ts";
import { ChatSession } from "../cli/chat_session.ts";
import { parseFlags, samplingFlags } from "../cli/flags.ts";
import { UsageError } from "../cli/usage_error.ts";

const embedded = new URL("../models/smollm3-tiny/", import.meta.url);

/** Runs with a copy of the embedded model in which some files are replaced, or left out (null). */
async function withModel(files: Record<string, string | Uint8Array | null>, run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const { name } of Deno.readDirSync(embedded)) if (!(name in files)) Deno.copyFileSync(new URL(name, embedded), `${folder}/${name}`);
    for (const [name, content] of Object.entries(files)) {
      if (content !== null) Deno.writeFileSync(`${folder}/${name}`, typeof content === "string" ? new TextEncoder().encode(content) : content);
    }
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const text = (name: string) => Deno.readTextFileSync(new URL(name, embedded));
const config = (change: Record<string, unknown>) => JSON.stringify({ ...JSON.parse(text("config.json")), ...change });
const weights = Deno.readFileSync(new URL("model.safetensors", embedded));

/** The weights with one value of a tensor's first row replaced by NaN. */
function weightsWithNaN(tensor: string, column: number): Uint8Array {
  const bytes = weights.slice(), headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)));
  new DataView(bytes.buffer).setUint16(8 + headerBytes + header[tensor].data_offsets[0] + 2 * column, 0x7fc0, true);
  return bytes;
}

type ErrorClass = new (...args: never[]) => Error;
const models: [string, Record<string, string | Uint8Array | null>, ErrorClass, string][] = [
  ["no config", { "config.json": null }, Deno.errors.NotFound, "config.json: there is no such file"],
  ["a config without a key", { "config.json": config({ hidden_size: undefined }) }, TypeError, "config.json: the key hidden_size is missing"],
  ["heads that do not divide", { "config.json": config({ num_attention_heads: 3 }) }, RangeError, "num_attention_heads (3) must be a multiple of"],
  ["cut weights", { "model.safetensors": weights.subarray(0, weights.length - 1000) }, RangeError, "it is cut off"],
  ["a web page as weights", { "model.safetensors": "<!DOCTYPE html><title>Not found</title>" }, RangeError, "no safetensors file"],
  ["NaN in weights", { "model.safetensors": weightsWithNaN("model.layers.2.mlp.up_proj.weight", 7) }, RangeError, "row 0, column 7 is not finite"],
  ["a bad generation config", { "generation_config.json": '{"temperature":"hot"}' }, TypeError, "Cannot use the generation config of"],
];
for (const [name, files, errorClass, message] of models) {
  Deno.test(`a model with ${name} is refused`, async () => {
    await withModel(files, async (folder) => {
      const error = await assertRejects(() => AutoModelForCausalLM.fromPretrained(folder, { device: "wasm" }), Error, message);
      assertEquals(error instanceof errorClass, true, `${error.name}: ${error.message}`);
    });
  });
}

Deno.test("a source that is no name of a model is refused", async () => {
  await assertRejects(() => AutoTokenizer.fromPretrained(""), TypeError, "its source is empty");
  await assertRejects(() => AutoTokenizer.fromPretrained(undefined as unknown as string), TypeError, "its source is undefined");
});

Deno.test("arguments of the wrong kind are told in words, and the model goes on", async () => {
  await using model = await AutoModelForCausalLM.fromPretrained("embedded", { device: "wasm" });
  const generate = (options: Record<string, unknown>) => model.generate({ inputIds: [1, 2], maxNewTokens: 2, doSample: false, ...options });
  await assertRejects(() => generate({ inputIds: "hi" }), TypeError, "encode the text with the tokenizer");
  await assertRejects(() => generate({ logitsProcessor: 5 }), TypeError, "logitsProcessor must be a function");
  await assertRejects(() => generate({ stoppingCriteria: [5] }), TypeError, "stoppingCriteria must be a function");
  await assertRejects(() => model.forward({ inputIds: [1], foo: 1 } as never), TypeError, "Unknown argument foo of forward");
  await assertRejects(() => generate({ signal: AbortSignal.abort(new Error("enough")) }), Error, "enough");
  const [alone, together] = [await generate({}), await Promise.all([generate({}), generate({ inputIds: [7] })])];
  assertEquals(together[0], alone);
});

Deno.test("a model is disposed in the middle of its work, twice; its tokenizer says so", async () => {
  const model = await AutoModelForCausalLM.fromPretrained("embedded", { device: "wasm" }), tokenizer = await model.tokenizer();
  const pending = model.generate({ inputIds: [1, 2], maxNewTokens: 1500, minNewTokens: 1500 });
  const rejected = assertRejects(() => pending, Error, "The model is disposed");
  await model.dispose();
  await model.dispose();
  await rejected;
  await assertRejects(() => model.generate({ inputIds: [1] }), Error, "The model is disposed");
  assertThrows(() => tokenizer.encode("hi"), Error, "The tokenizer is freed");
  tokenizer.free();
});

Deno.test("twenty requests and one place: all are answered, one too long for the cache is refused", async () => {
  await using engine = await Engine.fromPretrained("embedded", { device: "wasm", maxNumSeqs: 1, cacheBytes: 64 * 4096 });
  const samplingParams = { temperature: 0, maxTokens: 4 };
  assertThrows(() => engine.generate({ promptTokenIds: new Array(64).fill(5), samplingParams }), RangeError, "the context holds 64");
  const answers = await Promise.all(Array.from({ length: 20 }, () => engine.generate({ prompt: "Once upon a time", samplingParams }).result()));
  assertEquals(new Set(answers.map(({ outputs: [{ tokenIds }] }) => tokenIds.join())).size, 1);
});

Deno.test("half a character is encoded as U+FFFD", async () => {
  const tokenizer = await AutoTokenizer.fromPretrained("embedded");
  assertEquals(tokenizer.decode(tokenizer.encode("a\ud800b")), "a\ufffdb");
  assertThrows(() => tokenizer.decode("abc" as never), TypeError, "expected a list of token ids");
  tokenizer.free();
});

Deno.test("flags that exclude each other: the command line wins over the environment", () => {
  const environment = (name: string) => ({ SMOLDER_THINK: "1" })[name];
  assertEquals(parseFlags(["--no-think"], samplingFlags, environment).values, { "no-think": true });
  assertThrows(() => parseFlags(["--no-think", "--think"], samplingFlags, environment), UsageError, "Give --think or --no-think, not both");
});

Deno.test("a forgotten value does not swallow the next flag, nor is an empty one taken", () => {
  assertThrows(() => parseFlags(["--system", "--think"], samplingFlags, () => undefined), UsageError, "--system needs a value, got the flag --think");
  assertEquals(parseFlags(["--system=--think"], samplingFlags, () => undefined).values.system, "--think");
  assertThrows(() => parseFlags(["--stop", ""], samplingFlags, () => undefined), UsageError, "--stop is empty");
});

Deno.test("a chat survives files that cannot be read or written", async () => {
  const session = new ChatSession(), folder = await Deno.makeTempDir(), file = `${folder}/chat.json`;
  const reply = (line: string) => (session.take(line) as { text: string }).text;
  assertEquals(reply(`/load ${file}`), `Cannot load ${file}: there is no such file or folder`);
  assertStringIncludes(reply(`/save ${folder}`), `Cannot save to ${folder}: `);
  Deno.writeTextFileSync(file, '{"chat_history":[],"settings":{"parameters":{"temperature":"hot"}}}');
  assertEquals(reply(`/load ${file}`), `Cannot load ${file}: temperature must be a number, got hot`);
  Deno.writeTextFileSync(file, '{"chat_history":[{"role":"wizard","content":"x"}]}');
  assertStringIncludes(reply(`/load ${file}`), "it holds no chat");
  assertEquals(session.parameters, {});
  await Deno.remove(folder, { recursive: true });
});
