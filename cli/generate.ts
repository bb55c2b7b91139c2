/**
 * `smolder generate`: text of one prompt.
 *
 * @module
 */
import { type Answer, answer, generationOptions } from "./answer.ts";
import { commonFlags, describeFlags, parseFlags, samplingFlags, threadsFlag, type Values } from "./flags.ts";
import { loadCausalLM } from "./load.ts";
import { styled, writeError, writeOut } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

const flags = {
  prompt: { type: "string", value: "TEXT", excludes: "input-ids", help: "The prompt (default: standard input)" },
  "input-ids": { type: "string", value: "1,2,3", help: "The prompt as token ids" },
  chat: { type: "boolean", help: "Wrap the prompt in the model's chat template" },
  json: { type: "boolean", help: "Print one JSON object" },
  ...samplingFlags,
  ...threadsFlag,
  ...commonFlags,
} as const;

/** Most tokens of an answer when nothing is said. */
const defaultMaxNewTokens = 1024;

const help = `smolder generate [FLAGS]: text to standard output while it is made

${describeFlags(flags)}

Every flag has an environment twin: SMOLDER_MAX_NEW_TOKENS for --max-new-tokens (default: ${defaultMaxNewTokens}).
Example: smolder generate --chat --prompt "What is rain?" --temperature 0
`;

/** @returns Exit status. */
export async function generate(args: readonly string[]): Promise<number> {
  const { values, positionals, given } = parseFlags(args, flags, (name) => Deno.env.get(name));
  if (values.help) return writeOut(help), 0;
  if (positionals.length > 0) throw new UsageError(`Unexpected argument ${positionals[0]}: the prompt goes to --prompt, the model to --model`);
  for (const name of ["system", "think", "no-think"]) if (given.has(name) && !values.chat) throw new UsageError(`--${name} goes with --chat`);
  const inputIds = values["input-ids"] === undefined ? undefined : parseTokenIds(values["input-ids"], values.chat);
  const prompt = inputIds === undefined ? await readPrompt(values.prompt) : "";

  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  Deno.addSignalListener("SIGINT", onInterrupt);
  try {
    const startMs = performance.now();
    await using model = await loadCausalLM(values, interrupt.signal);
    const loadMs = performance.now() - startMs, reason = model.deviceReason;
    const promptTokenIds = inputIds ?? await encode(model, prompt, values);
    const result = await answer(model, promptTokenIds, {
      ...generationOptions(values),
      maxNewTokens: values["max-new-tokens"] ?? defaultMaxNewTokens,
      stop: values.stop,
      signal: interrupt.signal,
    }, {
      onAnswer: (text) => values.json || writeOut(text),
      onReasoning: (text) => values.json || writeError(styled("dim", text)),
    });
    if (values.json) {
      writeOut(JSON.stringify(report(result, promptTokenIds, loadMs, model.device, values.model ?? "embedded")) + "\n");
    } else {
      writeOut("\n");
      if (values.verbose) writeError(styled("dim", summary(result, promptTokenIds.length, loadMs, model.deviceReason === reason ? "" : model.deviceReason)));
      else if (result.finishReason === "length") {
        const isFull = promptTokenIds.length + result.tokenIds.length >= model.maxModelLen;
        const why = isFull ? `the context holds ${model.maxModelLen} tokens` : "--max-new-tokens allows more";
        writeError(styled("dim", `The answer was cut: ${why}\n`));
      }
    }
    return result.finishReason === "aborted" ? 130 : 0;
  } catch (error) {
    if (error === interrupt.signal.reason) return 130;
    throw error;
  } finally {
    Deno.removeSignalListener("SIGINT", onInterrupt);
  }
}

async function encode(model: Awaited<ReturnType<typeof loadCausalLM>>, prompt: string, values: Values<typeof flags>): Promise<readonly number[]> {
  const tokenizer = await model.tokenizer();
  if (!values.chat) return tokenizer.encode(prompt);
  const { conversationTokens } = await import("./conversation.ts");
  const messages = [...(values.system ? [{ role: "system", content: values.system }] : []), { role: "user", content: prompt }];
  return conversationTokens(tokenizer, messages, values.think ? true : values["no-think"] ? false : undefined);
}

function parseTokenIds(text: string, isChat: boolean | undefined): number[] {
  if (isChat) throw new UsageError("--chat goes with --prompt, --input-ids are taken as they are");
  const ids = text.split(",").map((part) => /^\s*\d+\s*$/.test(part) ? Number(part) : NaN);
  const bad = ids.findIndex((id) => !Number.isSafeInteger(id));
  if (bad >= 0) throw new UsageError(`--input-ids must be token ids with commas between them, got ${JSON.stringify(text.split(",")[bad])}`);
  return ids;
}

/** The prompt of the flag or of standard input, less the newline that ends it there. */
async function readPrompt(given: string | undefined): Promise<string> {
  let prompt = given;
  if (prompt === undefined) {
    if (Deno.stdin.isTerminal()) throw new UsageError("No prompt: give --prompt TEXT, or text on standard input");
    const bytes = await new Response(Deno.stdin.readable).bytes();
    try {
      prompt = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, "");
    } catch {
      throw new TypeError("Standard input is not UTF-8 text: convert it, or give the prompt with --prompt");
    }
  }
  if (prompt === "") throw new UsageError("The prompt is empty: give --prompt TEXT, or text on standard input");
  return prompt;
}

/** The object of `--json`. */
function report(
  { text, tokenIds, finishReason, prefillMs, decodeMs }: Answer,
  promptTokenIds: readonly number[],
  loadMs: number,
  device: string,
  model: string,
) {
  const rate = (tokens: number, elapsedMs: number) => elapsedMs > 0 ? tokens / elapsedMs * 1000 : 0;
  return {
    text,
    promptTokenIds,
    tokenIds,
    finishReason,
    usage: { promptTokens: promptTokenIds.length, completionTokens: tokenIds.length },
    timings: {
      loadMs,
      prefillMs,
      decodeMs,
      prefillTokensPerSecond: rate(promptTokenIds.length, prefillMs),
      decodeTokensPerSecond: rate(Math.max(0, tokenIds.length - 1), decodeMs),
    },
    device,
    model,
  };
}

/**
 * The line of `--verbose`.
 *
 * @param turn How the device works after all, where that is not what it was when the model was loaded.
 */
function summary(result: Answer, promptTokens: number, loadMs: number, turn: string): string {
  const { prefillMs, decodeMs, tokenIds, finishReason } = result;
  const prefill = `prompt ${promptTokens} tokens in ${prefillMs.toFixed(0)} ms`;
  const decode = `answer ${tokenIds.length} tokens in ${decodeMs.toFixed(0)} ms (${
    ((tokenIds.length - 1) / Math.max(decodeMs, 1e-3) * 1000).toFixed(1)
  } tokens/s)`;
  return `load ${loadMs.toFixed(0)} ms, ${prefill}, ${decode}, ${finishReason}${turn && `; ${turn}`}\n`;
}
