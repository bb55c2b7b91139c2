/**
 * The command line as a process of its own.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

const root = new URL("..", import.meta.url);
const golden = JSON.parse(Deno.readTextFileSync(new URL("fixtures/transformers/generation_golden.json", import.meta.url)));
const rain = golden.cases.find((one: { prompt: string }) => one.prompt === "What is rain?");
const once = golden.cases.find((one: { prompt: string }) => one.prompt === "Once upon a time");

interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `smolder` to its end. */
async function smolder(args: string[], { stdin = "", env = {} }: { stdin?: string | Uint8Array; env?: Record<string, string> } = {}): Promise<Result> {
  const process = spawn(args, env);
  const writer = process.stdin.getWriter();
  // A process that fails at once does not read.
  await writer.write(typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin).then(() => writer.close()).catch(() => {});
  const { code, stdout, stderr } = await process.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

function spawn(args: string[], env: Record<string, string> = {}): Deno.ChildProcess {
  const command = ["run", "-A", "--no-check", "cli/main.ts", ...args];
  return new Deno.Command(Deno.execPath(), { args: command, cwd: root, env: { NO_COLOR: "1", ...env }, stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
}

Deno.test("generate --chat prints the golden text and nothing else", async () => {
  const { code, stdout, stderr } = await smolder(["generate", "--chat", "--prompt", "What is rain?", "--temperature", "0"]);
  assertEquals([code, stdout, stderr], [0, rain.text[0] + "\n", ""]);
});

Deno.test("the prompt comes from standard input, options from the environment", async () => {
  const env = { SMOLDER_TEMPERATURE: "0", SMOLDER_MAX_NEW_TOKENS: "64", SMOLDER_DTYPE: "float32" };
  const { code, stdout, stderr } = await smolder(["generate"], { stdin: "Once upon a time\n", env });
  assertEquals([code, stdout], [0, once.text[0] + "\n"]);
  assertStringIncludes(stderr, "--max-new-tokens allows more");
});

Deno.test("generate --json prints one object", async () => {
  const ids = rain.input_ids[0];
  const { code, stdout } = await smolder(["generate", "--json", "--input-ids", ids.join(","), "--temperature", "0", "--threads", "1"]);
  assertEquals(code, 0);
  const { timings, ...result } = JSON.parse(stdout);
  assertEquals(result, {
    text: rain.text[0],
    promptTokenIds: ids,
    tokenIds: rain.output_ids[0],
    finishReason: "stop",
    usage: { promptTokens: ids.length, completionTokens: rain.output_ids[0].length },
    device: "wasm",
    model: "embedded",
  });
  assertEquals(Object.keys(timings), ["loadMs", "prefillMs", "decodeMs", "prefillTokensPerSecond", "decodeTokensPerSecond"]);
  for (const value of Object.values(timings)) assert((value as number) > 0);
});

Deno.test("the same seed gives the same text, --stop ends it before the stop string", async () => {
  const run = (...more: string[]) => smolder(["generate", "--prompt", "Once upon a time", "--max-new-tokens", "24", "--json", ...more]);
  const [first, second, other] = (await Promise.all([run("--seed", "7"), run("--seed", "7"), run("--seed", "8")])).map(({ stdout }) => JSON.parse(stdout));
  assertEquals(first.text, second.text);
  assert(first.text !== other.text);
  const { text, finishReason } = JSON.parse((await run("--temperature", "0", "--stop", "who loved")).stdout);
  assertEquals([text, finishReason], [", there was a little bird named Benny ", "stop"]);
});

const wrong: [string, string[], number, string, (string | Uint8Array)?][] = [
  ["unknown command", ["generat"], 2, "Unknown command generat, did you mean generate"],
  ["no command", [], 2, "smolder COMMAND"],
  ["unknown flag", ["generate", "--max-new-token", "3"], 2, "Unknown flag --max-new-token, did you mean --max-new-tokens"],
  ["not a number", ["generate", "--temperature", "hot"], 2, "--temperature must be a number, got hot"],
  ["empty prompt", ["generate", "--prompt", ""], 2, "The prompt is empty"],
  ["empty standard input", ["generate"], 2, "The prompt is empty"],
  ["text that is no UTF-8", ["generate"], 1, "Standard input is not UTF-8", new Uint8Array([0x48, 0xff, 0x48])],
  ["both prompts", ["generate", "--prompt", "a", "--input-ids", "1"], 2, "not both"],
  ["bad ids", ["generate", "--input-ids", "1,x"], 2, "--input-ids must be token ids"],
  ["unknown id", ["generate", "--input-ids", "1,99999"], 1, "99999"],
  ["missing model", ["generate", "--prompt", "a", "--model", "/no/such/model"], 1, "/no/such/model"],
  ["long prompt", ["generate", "--prompt", "word ".repeat(3000)], 1, "2048"],
  ["system without chat", ["generate", "--prompt", "a", "--system", "b"], 2, "--system goes with --chat"],
  ["stray argument", ["generate", "tell me"], 2, "the prompt goes to --prompt"],
  ["unknown shape", ["bench", "--random", "huge"], 2, "--random must be one of smollm3-3b"],
  ["help of an unknown command", ["help", "serv"], 2, "Unknown command serv"],
  ["two models", ["inspect", "a", "b"], 2, "Unexpected argument b: inspect takes one SOURCE"],
  ["a model twice", ["chat", "a", "--model", "b"], 2, "Give SOURCE or --model, not both"],
  ["a model and random weights", ["bench", "--model", "a", "--random", "smollm3-tiny"], 2, "Give a model or --random, not both"],
  ["nothing to measure", ["bench", "-p", "0", "-n", "0"], 2, "Nothing to measure"],
];
for (const [name, args, expected, message, stdin] of wrong) {
  Deno.test(`wrong use: ${name}`, async () => {
    const { code, stdout, stderr } = await smolder(args, { stdin });
    assertEquals([code, stdout], [expected, ""], stderr);
    assertStringIncludes(stderr, message);
    assert(!stderr.includes("    at "), stderr);
  });
}

Deno.test("a closed pipe ends generate quietly", async () => {
  const process = spawn(["generate", "--prompt", "Once upon a time", "--temperature", "0"]);
  await process.stdin.close();
  await process.stdout.cancel();
  const [{ code }, stderr] = await Promise.all([process.status, new Response(process.stderr).text()]);
  assertEquals([code, stderr], [0, ""]);
});

Deno.test({
  name: "a full disk is told",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const command = `"${Deno.execPath()}" run -A --no-check cli/main.ts generate --prompt a --max-new-tokens 2 > /dev/full`;
    const { code, stderr } = await new Deno.Command("sh", { args: ["-c", command], cwd: root, env: { NO_COLOR: "1" } }).output();
    assertEquals(code, 1);
    assertStringIncludes(new TextDecoder().decode(stderr), "error: Cannot write to standard output: No space left on device");
  },
});

Deno.test("an answer that fills the context is told as that", async () => {
  const { code, stderr } = await smolder(["generate", "--prompt", "word ".repeat(2044), "--temperature", "0", "--max-new-tokens", "500"]);
  assertEquals([code, stderr], [0, "The answer was cut: the context holds 2048 tokens\n"]);
});

Deno.test("--verbose tells of the device once, and of the time of loading alone", async () => {
  const { stderr } = await smolder(["generate", "--prompt", "a", "--max-new-tokens", "2", "--device", "wasm", "--verbose"]);
  assertMatch(stderr, /^wasm: wasm was asked for\nload \d+ ms, prompt 1 tokens in \d+ ms, answer 2 tokens in \d+ ms \([\d.]+ tokens\/s\), length\n$/);
});

Deno.test("an interrupt ends generate with what there is and status 130", async () => {
  const process = spawn(["generate", "--json", "--prompt", "The sun is", "--temperature", "0", "--max-new-tokens", "2000"]);
  await process.stdin.close();
  setTimeout(() => process.kill("SIGINT"), 900);
  const { code, stdout } = await process.output();
  assertEquals(code, 130);
  const text = new TextDecoder().decode(stdout);
  if (text !== "") assertEquals(JSON.parse(text).finishReason, "aborted");
});

Deno.test("chat: messages, commands, several lines, from a pipe", async () => {
  const stdin = 'What is rain?\n/show\n/clear\n"""\nWhat is\nrain?\n"""\n/nonsense\n/exit\nnever\n';
  const { code, stdout, stderr } = await smolder(["chat", "--temperature", "0", "--dtype", "float32"], { stdin });
  assertEquals(code, 0);
  assertEquals(stdout.split("\n")[0], rain.text[0].split("\n")[0]);
  for (
    const part of ["Model: embedded on wasm, context 2048 tokens", "temperature 0", "Messages: 2", "The conversation is empty", "Unknown command /nonsense"]
  ) {
    assertStringIncludes(stderr, part);
  }
});

Deno.test("chat remembers, saves and loads", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".json" });
  await smolder(["chat", "--temperature", "0", "--max-new-tokens", "8"], { stdin: `Hello!\nWhat is rain?\n/save ${file}\n` });
  const { chat_history: history } = JSON.parse(Deno.readTextFileSync(file));
  assertEquals(history.map(({ role }: { role: string }) => role), ["user", "assistant", "user", "assistant"]);
  const { stderr } = await smolder(["chat"], { stdin: `/load ${file}\n/show\n` });
  assertStringIncludes(stderr, "Messages: 4");
  Deno.removeSync(file);
});

Deno.test("chat says when the context is full", async () => {
  const { code, stdout, stderr } = await smolder(["chat", "--temperature", "0"], { stdin: "word ".repeat(3000) + "\nHello!\n" });
  assertEquals(code, 0);
  assertMatch(stderr, /The conversation has \d+ tokens, the context holds 2048/);
  assert(stdout.trim() !== "");
});

Deno.test("chat: an interrupt stops the answer only", async () => {
  const process = spawn(["chat", "--temperature", "0"]);
  const writer = process.stdin.getWriter(), write = (text: string) => writer.write(new TextEncoder().encode(text));
  await write("Tell me a story about a brave mouse.\n");
  const reader = process.stdout.getReader();
  await reader.read();
  process.kill("SIGINT");
  const stderr = new Response(process.stderr).text();
  await write("What is rain?\n/exit\n");
  let stdout = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) stdout += new TextDecoder().decode(part.value);
  await writer.close().catch(() => {});
  assertEquals((await process.status).code, 0);
  assertStringIncludes(await stderr, "Stopped");
  assertStringIncludes(stdout, "Rain is");
});

Deno.test("inspect", async () => {
  const { code, stdout } = await smolder(["inspect", "--json", "--device", "wasm"]);
  const report = JSON.parse(stdout);
  assertEquals([code, report.parameters, report.config.numHiddenLayers, report.tensors[0].storageType], [0, 6951168, 8, "bf16"]);
  assertEquals(report.memory.map(({ contextLength }: { contextLength: number }) => contextLength), [2048]);
  const { stdout: text } = await smolder(["inspect", "tests/fixtures/gguf/smollm3-tiny-Q4_K_M.gguf", "--device", "wasm"]);
  for (const part of ["6,951,168 parameters", "q6_k", "2048"]) assertStringIncludes(text, part);
});

Deno.test("bench", async () => {
  const tests = ["-p", "16", "-n", "4", "-d", "0,32", "-r", "2", "-t", "1"];
  const { stdout } = await smolder(["bench", "--json", ...tests]);
  const results = JSON.parse(stdout);
  assertEquals(results.map(({ test }: { test: string }) => test), ["pp16", "tg4", "pp16 @ d32", "tg4 @ d32"]);
  for (const { tokensPerSecond, samplesTokensPerSecond, threads } of results) {
    assert(tokensPerSecond > 0);
    assertEquals([samplesTokensPerSecond.length, threads], [2, 1]);
  }
  const { code, stdout: table } = await smolder(["bench", "--random", "smollm3-tiny", "--quantization", "q4_0", "-p", "8", "-n", "2", "-r", "1"]);
  assertEquals(code, 0);
  assertStringIncludes(table, "random smollm3-tiny q4_0");
});

Deno.test("help is on standard output", async () => {
  for (const args of [["--help"], ["help", "bench"], ["generate", "--help"], ["chat", "-h"], ["inspect", "--help"], ["bench", "--help"]]) {
    const { code, stdout } = await smolder(args);
    assertEquals(code, 0);
    assertStringIncludes(stdout, "smolder");
  }
});
