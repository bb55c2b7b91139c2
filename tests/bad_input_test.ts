/**
 * What users do wrong, at the outermost interface: a message that names the thing and the fix, and nothing lost or left hanging.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { AutoConfig, AutoModelForCausalLM, AutoTokenizer, DeviceError, Engine, type LoadProgress, pipeline } from "../mod.ts";
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
  await assertRejects(() => generate({ inputIds: ["1"] }), TypeError, 'inputIds must be a list of numbers, or a list of such lists, got "1" in it');
  await assertRejects(() => generate({ inputIds: [[1], 2] }), TypeError, "got 2 in it");
  await assertRejects(() => generate({ attentionMask: [true, false] }), TypeError, "attentionMask must be a list of numbers");
  await assertRejects(() => generate({ signal: 5 }), TypeError, "Option signal must be an AbortSignal, got 5");
  await assertRejects(() => generate({ streamer: {} }), TypeError, "Option streamer must have the methods put and end, got an object");
  await assertRejects(() => generate({ generationConfig: 5 }), TypeError, "Options of generationConfig must be an object, got 5");
  await assertRejects(() => generate({ logitsProcessor: async () => {} }), TypeError, "A logits processor must not be an async function");
  await assertRejects(
    () => generate({ stoppingCriteria: () => Promise.reject(new Error("late")) }),
    TypeError,
    "A stopping criterion must not be an async function",
  );
  await assertRejects(() => model.generate(undefined as never), TypeError, "Options of generate must be an object, got undefined");
  await assertRejects(() => model.stream(null as never).next(), TypeError, "Options of stream must be an object, got null");
  await assertRejects(() => model.forward(null as never), TypeError, "Options of forward must be an object, got null");
  for (const position of [-1, 0.5, NaN]) {
    await assertRejects(() => model.forward({ inputIds: [1], positionIds: [position] }), RangeError, `positionIds[0][0] is ${position}`);
  }
  await assertRejects(() => generate({ signal: AbortSignal.abort(new Error("enough")) }), Error, "enough");
  const [alone, together] = [await generate({}), await Promise.all([generate({}), generate({ inputIds: [7] })])];
  assertEquals(together[0], alone);
});

Deno.test("a model is disposed in the middle of its work, twice; its tokenizer says so", async () => {
  const model = await AutoModelForCausalLM.fromPretrained("embedded", { device: "wasm" }), tokenizer = await model.tokenizer();
  const pending = model.generate({ inputIds: [1, 2], maxNewTokens: 1500, minNewTokens: 1500 });
  const rejected = assertRejects(() => pending, Error, "The model is disposed");
  const forward = assertRejects(() => model.forward({ inputIds: new Array(500).fill(5) }), Error, "The model is disposed");
  await new Promise((resolve) => setTimeout(resolve, 10));
  await model.dispose();
  await forward;
  await model.dispose();
  await rejected;
  await assertRejects(() => model.generate({ inputIds: [1] }), Error, "The model is disposed");
  await assertRejects(() => model.tokenizer(), Error, "The model is disposed");
  assertThrows(() => tokenizer.encode("hi"), Error, "The tokenizer is freed");
  tokenizer.free();
});

const badLoads: [Record<string, unknown> | null, string][] = [
  [null, "Options of a model must be an object, got null"],
  [{ threads: "2" }, 'Load option threads must be a whole number of at least 1, got "2"'],
  [{ signal: 5 }, "Option signal must be an AbortSignal, got 5"],
  [{ onProgress: 5 }, "Load option onProgress must be a function, got 5"],
  [{ revision: 5 }, "Load option revision must be a text, got 5"],
  [{ enablePrefixCaching: "no" }, 'Load option enablePrefixCaching must be true or false, got "no"'],
];
Deno.test("load options of the wrong type are refused before anything is read", async () => {
  for (const [options, message] of badLoads) {
    await assertRejects(() => AutoModelForCausalLM.fromPretrained("/no/such/model", options as never), TypeError, message);
  }
  await assertRejects(() => AutoTokenizer.fromPretrained("embedded", { useFast: true } as never), TypeError, "Unknown option useFast of AutoTokenizer");
  await assertRejects(() => AutoConfig.fromPretrained("embedded", { foo: 1 } as never), TypeError, "Unknown option foo of AutoConfig");
});

Deno.test("sizes that no memory holds are refused with the numbers and what to lower", async () => {
  const load = (options: Record<string, number>) => () => AutoModelForCausalLM.fromPretrained("embedded", { device: "wasm", ...options });
  await assertRejects(load({ maxModelLen: 1e7 }), DeviceError, "Cannot place the KV cache of 0.attn.rope: it takes 5120000000 bytes");
  await assertRejects(load({ maxModelLen: 1e15 }), DeviceError, "or ask for shorter contexts (maxModelLen)");
  await assertRejects(load({ maxNumBatchedTokens: 1e7 }), DeviceError, "compute fewer tokens in a step (maxNumBatchedTokens)");
});

Deno.test("loading ends when its signal says so, at any progress, even at the end", async () => {
  const end = new Error("enough");
  for (const share of [0, 0.5, 1]) {
    const aborter = new AbortController();
    const onProgress = ({ loadedBytes, totalBytes }: LoadProgress) => loadedBytes >= share * totalBytes && aborter.abort(end);
    const load = () => AutoModelForCausalLM.fromPretrained("embedded", { device: "wasm", signal: aborter.signal, onProgress });
    assertEquals(await assertRejects(load, Error, "enough"), end);
  }
});

Deno.test("a request with a wrong field is refused, and the engine goes on", async () => {
  await using engine = await Engine.fromPretrained("embedded", { device: "wasm" });
  const wrong: [unknown, string][] = [
    [undefined, "Options of a request must be an object, got undefined"],
    [{ prompt: "a", maxTokens: 5 }, "Unknown option maxTokens of a request, choose from prompt"],
    [{ prompt: "a", samplingParams: 5 }, "Options of samplingParams must be an object, got 5"],
    [{ prompt: "a", priority: "high" }, 'Option priority must be a number, got "high"'],
    [{ prompt: "a", signal: {} }, "Option signal must be an AbortSignal, got an object"],
    [{ prompt: "a", logitsProcessors: 5 }, "Option logitsProcessors must be a function or a list of functions, got 5"],
    [{ promptTokenIds: 5 }, "Option promptTokenIds must be a list of token ids, got 5"],
  ];
  for (const [request, message] of wrong) assertThrows(() => engine.generate(request as never), TypeError, message);
  const late = engine.generate({ prompt: "a", stoppingCriteria: [(() => Promise.resolve(false)) as never] });
  await assertRejects(() => late.result(), TypeError, "A stopping criterion must not be an async function");
  assertEquals((await engine.generate({ prompt: "a", samplingParams: { maxTokens: 2 } }).result()).outputs[0].tokenIds.length, 2);
});

Deno.test("a pipeline says what it takes", async () => {
  await using generator = await pipeline("text-generation", "embedded", { device: "wasm" });
  for (const input of [5, null, [5], [null]]) await assertRejects(async () => await generator(input as never), TypeError, "Cannot generate: expected a text");
  for (const input of ["", [[]]]) await assertRejects(async () => await generator(input as never), TypeError, "is empty");
  await assertRejects(async () => await generator("a", null as never), TypeError, "Options of the pipeline must be an object, got null");
});

Deno.test("twenty requests and one place: all are answered, one too long for the cache is refused", async () => {
  await using engine = await Engine.fromPretrained("embedded", { device: "wasm", maxNumSeqs: 1, cacheBytes: 64 * 4096 });
  const samplingParams = { temperature: 0, maxTokens: 4 };
  assertThrows(() => engine.generate({ promptTokenIds: new Array(64).fill(5), samplingParams }), RangeError, "the context holds 64");
  const answers = await Promise.all(Array.from({ length: 20 }, () => engine.generate({ prompt: "Once upon a time", samplingParams }).result()));
  assertEquals(new Set(answers.map(({ outputs: [{ tokenIds }] }) => tokenIds.join())).size, 1);
});

Deno.test("half a character is encoded as U+FFFD; what is no text, no ids or no option is refused", async () => {
  const tokenizer = await AutoTokenizer.fromPretrained("embedded");
  assertEquals(tokenizer.decode(tokenizer.encode("a\ud800b")), "a\ufffdb");
  assertThrows(() => tokenizer.decode("abc" as never), TypeError, "expected a list of token ids");
  assertThrows(
    () => tokenizer.decode([[5, 6]] as never),
    TypeError,
    "Cannot decode a list: expected a list of token ids; for several lists there is batchDecode",
  );
  assertThrows(() => tokenizer.decode([NaN]), TypeError, "Cannot decode NaN");
  assertThrows(() => tokenizer.batchDecode(null as never), TypeError, "Cannot decode null: expected a list of lists");
  assertThrows(() => tokenizer.encode("a", { padding: true } as never), TypeError, "Unknown option padding of encode");
  assertThrows(() => tokenizer.encodeBatch(["a"], { padToMultipleOf: 8 } as never), TypeError, "Unknown option padToMultipleOf of encodeBatch");
  assertThrows(() => tokenizer.encodeBatch(["a"], { truncation: "longest_first" } as never), TypeError, "Option truncation must be true or false");
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
