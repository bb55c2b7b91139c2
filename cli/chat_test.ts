import { assert, assertEquals, assertRejects } from "@std/assert";
import { AutoTokenizer } from "../api/auto_tokenizer.ts";
import type { CausalLM } from "../api/causal_lm.ts";
import { DeviceError } from "../engine/backend.ts";
import { takeTurn } from "./chat.ts";
import { ChatSession } from "./chat_session.ts";

/** A model of which every answer fails. */
async function failing(error: Error): Promise<CausalLM> {
  const tokenizer = await AutoTokenizer.fromPretrained("embedded");
  // deno-lint-ignore require-yield
  const stream = async function* (): AsyncGenerator<never> {
    throw error;
  };
  return { maxModelLen: 2048, tokenizer: () => Promise.resolve(tokenizer), stream } as unknown as CausalLM;
}

/** Whether there is the `script` of util-linux. */
function canMakeTerminals(): boolean {
  try {
    return new TextDecoder().decode(new Deno.Command("script", { args: ["--version"] }).outputSync().stdout).includes("util-linux");
  } catch {
    return false;
  }
}

Deno.test("an answer that fails, with a lost device too, leaves the conversation as it was, to be saved", async () => {
  const session = new ChatSession(), { signal } = new AbortController();
  session.messages.push({ role: "user", content: "Hi" }, { role: "assistant", content: "Hello" });
  for (const error of [new RangeError("too long"), new DeviceError("lost")]) {
    await takeTurn(await failing(error), session, "What is rain?", signal);
    assertEquals(session.messages.length, 2);
  }
  await assertRejects(async () => await takeTurn(await failing(new Error("a mistake of ours")), session, "What is rain?", signal), Error, "of ours");
});

Deno.test({
  name: "Ctrl+C gives up a line that was begun, or has just been sent, and twice it leaves; what is typed ahead stays",
  ignore: !canMakeTerminals(),
  fn: async () => {
    const command = `"${Deno.execPath()}" run -A --no-check cli/main.ts chat --device wasm`;
    const root = new URL("..", import.meta.url);
    const terminal = new Deno.Command("script", { args: ["-qec", command, "/dev/null"], cwd: root, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
    const writer = terminal.stdin.getWriter(), write = (text: string) => writer.write(new TextEncoder().encode(text));
    let text = "";
    const read = (async () => {
      for await (const part of terminal.stdout.pipeThrough(new TextDecoderStream())) text += part;
    })();
    const seen = async (what: string, from = 0) => {
      for (let i = 0; i < 600 && !text.includes(what, from); i++) await new Promise((resolve) => setTimeout(resolve, 50));
      assert(text.includes(what, from), text);
      return text.length;
    };
    await seen("> ");
    await write("half a line");
    let at = await seen("half a line");
    await write("\x03/show\r");
    at = await seen("Messages: 0", at);
    await write("a line that is taken back at once\r\x03/show\r");
    at = await seen("Messages: 0", at);
    await write("\x03");
    at = await seen("Ctrl+C again", at);
    await write("half a line\x03/show\r");
    at = await seen("Messages: 0", at);
    await write("/set parameter max-new-tokens 1\rWhat is rain?\r/sh");
    at = await seen("was cut", at);
    await write("ow\r");
    at = await seen("Messages: 2", at);
    await write("\x03");
    at = await seen("Ctrl+C again", at);
    await write("\x03");
    const { code } = await terminal.status;
    await Promise.all([read, writer.close().catch(() => {}), terminal.stderr.cancel()]);
    assertEquals(code, 130);
  },
});
