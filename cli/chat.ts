/**
 * `smolder chat`: a conversation in the terminal.
 *
 * @module
 */
import type { CausalLM } from "../api/causal_lm.ts";
import { DeviceError } from "../engine/backend.ts";
import { answer, generationOptions } from "./answer.ts";
import { ChatSession } from "./chat_session.ts";
import { conversationTokens, requireTemplate } from "./conversation.ts";
import { commonFlags, describeFlags, parseFlags, samplingFlags, sourceOf, threadsFlag } from "./flags.ts";
import { LineReader } from "./line_reader.ts";
import { loadCausalLM } from "./load.ts";
import { styled, writeError, writeOut } from "./terminal.ts";

const flags = { ...samplingFlags, ...threadsFlag, ...commonFlags } as const;

const help = `smolder chat [SOURCE] [FLAGS]: a conversation in the terminal; /help there lists its commands

${describeFlags(flags)}
`;

/** @returns Exit status. */
export async function chat(args: readonly string[]): Promise<number> {
  const parsed = parseFlags(args, flags, (name) => Deno.env.get(name)), { values } = parsed;
  if (values.help) return writeOut(help), 0;
  const source = sourceOf("chat", parsed);

  let interrupt = new AbortController();
  const lines = new LineReader(() => interrupt.abort());
  try {
    await using model = await loadCausalLM(values, interrupt.signal, source);
    const { "max-new-tokens": maxNewTokens, temperature, "top-k": topK, "top-p": topP, "min-p": minP, seed, stop } = values;
    requireTemplate(await model.tokenizer());
    const session = new ChatSession({
      parameters: { "max-new-tokens": maxNewTokens, temperature, "top-k": topK, "top-p": topP, "min-p": minP, seed, stop },
      system: values.system,
      think: values.think ? true : values["no-think"] ? false : undefined,
      about: () => `Model: ${source} on ${model.device}, context ${model.maxModelLen} tokens`,
    });
    note(`${source} on ${model.device}, context ${model.maxModelLen} tokens. /help lists the commands, Ctrl+D leaves`);
    let wasInterrupted = false;
    while (true) {
      const message = await readMessage(lines);
      if (message === null) return 0;
      if (message === "given up") {
        wasInterrupted = false;
        continue;
      }
      if (message === "interrupted") {
        if (wasInterrupted) return 130;
        wasInterrupted = true;
        note("\nCtrl+C again, or Ctrl+D, leaves");
        continue;
      }
      wasInterrupted = false;
      if (message.trim() === "") continue;
      const outcome = session.take(message);
      if (outcome.kind === "leave") return 0;
      if (outcome.kind === "reply") note(outcome.text);
      else await takeTurn(model, session, outcome.text, (interrupt = new AbortController()).signal);
    }
  } catch (error) {
    if (error === interrupt.signal.reason) return 130;
    throw error;
  } finally {
    lines.close();
  }
}

/** A turn that cannot be taken, because the template refuses the message or the answer fails, leaves the conversation as it was. */
export async function takeTurn(model: CausalLM, session: ChatSession, text: string, signal: AbortSignal): Promise<void> {
  const { length } = session.messages;
  try {
    await turn(model, session, text, signal);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError || error instanceof DeviceError)) throw error;
    session.messages.length = length;
    note(error instanceof DeviceError ? `${error.message} (/save keeps the conversation)` : error.message);
  }
}

/** One message and its answer. */
async function turn(model: CausalLM, session: ChatSession, text: string, signal: AbortSignal): Promise<void> {
  session.messages.push({ role: "user", content: text });
  const promptTokenIds = conversationTokens(await model.tokenizer(), session.conversation, session.think);
  const room = model.maxModelLen - promptTokenIds.length;
  if (room < 1) {
    session.messages.pop();
    return note(`The conversation has ${promptTokenIds.length} tokens, the context holds ${model.maxModelLen}: /clear starts over, or shorten the message`);
  }
  const options = generationOptions(session.parameters as Parameters<typeof generationOptions>[0]);
  const stop = session.parameters.stop as string[] | undefined;
  const result = await answer(model, promptTokenIds, { ...options, maxNewTokens: Math.min(options.maxNewTokens ?? room, room), stop, signal }, {
    onAnswer: writeOut,
    onReasoning: (reasoning) => writeError(styled("dim", reasoning)),
  });
  writeOut("\n");
  session.messages.push({ role: "assistant", content: result.answer });
  if (result.finishReason === "aborted") note("Stopped");
  else if (result.finishReason === "length") {
    note(result.tokenIds.length >= room ? "The context is full: /clear starts over" : "The answer was cut: /set parameter max-new-tokens allows more");
  }
}

/** A line, or the lines between two `"""`. */
async function readMessage(lines: LineReader): Promise<string | null | "given up" | "interrupted"> {
  const first = await lines.next("> ");
  if (first === null || typeof first === "string") return first;
  if (!first.line.trimStart().startsWith('"""')) return first.line;
  let text = first.line.trimStart().slice(3);
  while (!text.trimEnd().endsWith('"""')) {
    const next = await lines.next(". ");
    if (typeof next === "string") return next;
    if (next === null) return text;
    text += `\n${next.line}`;
  }
  return text.trimEnd().slice(0, -3).replace(/^\n|\n$/g, "");
}

/** What is said about the conversation, not in it. */
function note(text: string): void {
  writeError(styled("dim", text) + "\n");
}
