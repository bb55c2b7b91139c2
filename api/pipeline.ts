/**
 * `pipeline("text-generation", …)`: text in, text out. Source: text_generation.py of transformers/pipelines.
 *
 * @module
 */
import type { GenerationOptions } from "../engine/generation_options.ts";
import { inWords, requireOptions } from "./arguments.ts";
import type { AutoTokenizer, Message } from "./auto_tokenizer.ts";
import { AutoModelForCausalLM, type CausalLM } from "./causal_lm.ts";
import type { GenerateOptions } from "./generate.ts";
import type { LoadOptions } from "./load_model.ts";

/** A text to go on from, or a chat to answer. */
export type TextGenerationInput = string | readonly Message[];

/** Options of a call. */
export interface TextGenerationOptions extends Omit<GenerateOptions, "inputIds" | "attentionMask"> {
  /** Give the prompt, too. Default true. */
  returnFullText?: boolean;
  /** Go on with the last message of a chat. Default: whether the assistant wrote it. */
  continueFinalMessage?: boolean;
}

/** One answer. */
export interface TextGenerationOutput<Text = string | Message[]> {
  /** Text; for a chat with `returnFullText` the chat with the answer in it. */
  readonly generatedText: Text;
}

/** A pipeline: call it with a text, a chat, or a list of either. Frees its model with `dispose`, or at the end of an `await using`. */
export interface TextGenerationPipeline extends AsyncDisposable {
  (input: string, options?: TextGenerationOptions): Promise<TextGenerationOutput<string>[]>;
  (input: readonly Message[], options?: TextGenerationOptions): Promise<TextGenerationOutput[]>;
  (inputs: readonly string[], options?: TextGenerationOptions): Promise<TextGenerationOutput<string>[][]>;
  (inputs: readonly (readonly Message[])[], options?: TextGenerationOptions): Promise<TextGenerationOutput[][]>;
  /** The model. */
  readonly model: CausalLM;
  /** Its tokenizer. */
  readonly tokenizer: AutoTokenizer;
  /** Frees the model. */
  dispose(): Promise<void>;
}

/** What a text generation pipeline does when neither the model's files nor the call say otherwise. */
const defaults: GenerationOptions = { maxNewTokens: 256, doSample: true, temperature: 0.7 };

/**
 * Loads a model for a task.
 *
 * @param task `text-generation`.
 * @example
 * ```ts
 * import { pipeline } from "@smolder/smolder";
 * await using generator = await pipeline("text-generation", "embedded");
 * const [{ generatedText }] = await generator("Once upon a time", { maxNewTokens: 24, doSample: false });
 * ```
 * @throws {TypeError} when there is no such task, or as `fromPretrained`.
 */
export async function pipeline(task: "text-generation", source = "embedded", options?: LoadOptions): Promise<TextGenerationPipeline> {
  if (task !== "text-generation") throw new TypeError(`Unknown task ${JSON.stringify(task)}: there is text-generation`);
  const model = await AutoModelForCausalLM.fromPretrained(source, options);
  const tokenizer = await model.tokenizer();
  const call = (inputs: TextGenerationInput | readonly TextGenerationInput[], callOptions: TextGenerationOptions = {}) => {
    requireOptions("the pipeline", callOptions);
    if (typeof inputs !== "string" && !Array.isArray(inputs)) {
      throw new TypeError(`Cannot generate: expected a text, a chat or a list of either, got ${inWords(inputs)}`);
    }
    const run = (input: TextGenerationInput) => generateText(model, tokenizer, input, callOptions);
    return isOne(inputs) ? run(inputs) : Promise.all(inputs.map(run));
  };
  const dispose = () => model.dispose();
  return Object.assign(call, { model, tokenizer, dispose, [Symbol.asyncDispose]: dispose }) as unknown as TextGenerationPipeline;
}

function isOne(inputs: TextGenerationInput | readonly TextGenerationInput[]): inputs is TextGenerationInput {
  return typeof inputs === "string" || (inputs.length > 0 && isMessage(inputs[0]));
}

function isMessage(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

async function generateText(
  model: CausalLM,
  tokenizer: AutoTokenizer,
  input: TextGenerationInput,
  { returnFullText = true, continueFinalMessage, ...options }: TextGenerationOptions,
): Promise<TextGenerationOutput[]> {
  const isChat = Array.isArray(input);
  if (!isChat && typeof input !== "string") throw new TypeError(`Cannot generate: expected a text or a chat, got ${inWords(input)}`);
  if (input.length === 0) throw new TypeError(`Cannot generate: the ${isChat ? "chat" : "text"} is empty`);
  const continues = isChat && (continueFinalMessage ?? input.at(-1)?.role === "assistant");
  const inputIds = isChat ? chatTokens(tokenizer, input, continues) : tokenizer.encode(input);
  const { maxNewTokens, ...others } = defaults;
  const generationConfig = {
    ...(options.maxLength == null && { maxNewTokens }),
    ...others,
    ...model.generationConfig,
    ...options.generationConfig,
  };
  const { sequences } = await model.generate({ ...options, inputIds, generationConfig });
  const promptText = tokenizer.decode(inputIds, { skipSpecialTokens: true });
  return sequences.map((sequence) => {
    const text = tokenizer.decode(sequence, { skipSpecialTokens: true }).slice(promptText.length);
    if (!returnFullText) return { generatedText: text };
    if (!isChat) return { generatedText: input + text };
    const last = input[input.length - 1];
    const chat = continues ? [...input.slice(0, -1), { ...last, content: last.content + text }] : [...input, { role: "assistant", content: text }];
    return { generatedText: chat };
  });
}

function chatTokens(tokenizer: AutoTokenizer, chat: readonly Message[], continues: boolean): readonly number[] {
  return tokenizer.applyChatTemplate([...chat], continues ? { continueFinalMessage: true } : { addGenerationPrompt: true }).inputIds[0];
}
