/**
 * `Engine`: many requests at once, as vLLM has it.
 *
 * @module
 */
import type { Device } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import { EngineCore, type EngineRequest } from "../engine/engine_core.ts";
import type { EngineMetrics } from "../engine/engine_stats.ts";
import type { RequestStream } from "../engine/request_stream.ts";
import type { SamplingOptions } from "../engine/sampling_params.ts";
import { checkFunctions, checkSignal, inWords, requireOptions } from "./arguments.ts";
import { AutoTokenizer, type ChatTemplateOptions, type Message } from "./auto_tokenizer.ts";
import { type LoadedModel, loadModel, type LoadOptions } from "./load_model.ts";

/** A request: exactly one of `prompt`, `promptTokenIds` and `messages`, and how to answer it. */
export interface GenerateRequest extends Omit<EngineRequest, "prompt" | "promptTokenIds"> {
  /** Text to go on from. */
  readonly prompt?: string;
  /** Tokens to go on from. */
  readonly promptTokenIds?: ArrayLike<number>;
  /** A chat to answer, put into the model's template. */
  readonly messages?: readonly Message[];
  /** For `messages`: options such as `tools`, `enableThinking` and `continueFinalMessage`. */
  readonly chatTemplateOptions?: ChatTemplateOptions;
}

const requestNames: readonly (keyof GenerateRequest)[] = [
  ...["prompt", "promptTokenIds", "messages", "chatTemplateOptions", "samplingParams", "priority", "signal", "requestId"] as const,
  ...["eosTokenIds", "logitsProcessors", "stoppingCriteria", "onLogits"] as const,
];

/** @throws {TypeError} when a part of it has the wrong type, or a name that no part has. */
function checkRequest(request: GenerateRequest): void {
  requireOptions("a request", request, requestNames);
  const { promptTokenIds, samplingParams, priority, signal, logitsProcessors, stoppingCriteria } = request;
  if (promptTokenIds !== undefined && typeof promptTokenIds?.length !== "number") {
    throw new TypeError(`Option promptTokenIds must be a list of token ids, got ${inWords(promptTokenIds)}`);
  }
  if (samplingParams !== undefined) requireOptions("samplingParams", samplingParams);
  if (priority !== undefined && !Number.isFinite(priority)) throw new TypeError(`Option priority must be a number, got ${inWords(priority)}`);
  checkSignal(signal);
  checkFunctions("logitsProcessors", logitsProcessors);
  checkFunctions("stoppingCriteria", stoppingCriteria);
}

/**
 * A loaded model that serves requests as they come: each step computes a token of every running answer and as much of new prompts as fits beside them.
 *
 * @example
 * ```ts
 * import { Engine } from "@smolder/smolder";
 * await using engine = await Engine.fromPretrained("embedded", { maxNumSeqs: 8 });
 * const ask = async (prompt: string) => {
 *   const request = { messages: [{ role: "user", content: prompt }], samplingParams: { temperature: 0, maxTokens: 16 } };
 *   for await (const { outputs: [{ text }] } of engine.generate(request)) console.log(text);
 * };
 * await Promise.all(["What is rain?", "Why is honey important?"].map(ask));
 * ```
 */
export class Engine implements AsyncDisposable {
  /** The model's configuration. */
  readonly config: SmolLM3Config;
  /** The model's tokenizer. */
  readonly tokenizer: AutoTokenizer;
  /** Where the model runs. */
  readonly device: Device;
  /** What the model was loaded from. */
  readonly name: string;
  /** Most tokens of a request, prompt and answer together. */
  readonly maxModelLen: number;
  /** Sampling parameters of requests that give none: those of the model's `generation_config.json`. */
  readonly defaultSamplingParams: SamplingOptions;
  readonly #loaded: LoadedModel;
  readonly #core: EngineCore;
  #isDisposed = false;

  /** @ignore Use {@link Engine.fromPretrained}. */
  constructor(loaded: LoadedModel, tokenizer: AutoTokenizer) {
    const { config, executable, rope, host, schedulerOptions, generationConfig } = loaded;
    const { temperature, topK, topP, minP, repetitionPenalty, maxNewTokens, eosTokenId } = generationConfig;
    this.config = config;
    this.tokenizer = tokenizer;
    this.device = loaded.backend.device;
    this.name = loaded.name;
    this.#loaded = loaded;
    this.#core = new EngineCore({
      executable,
      rope,
      sampler: host.sampler,
      vocabSize: config.vocabSize,
      tokenizer,
      eosTokenIds: eosTokenId == null ? config.eosTokenIds : [eosTokenId].flat(),
      scheduler: schedulerOptions,
    });
    this.maxModelLen = this.#core.scheduler.maxTokens;
    this.defaultSamplingParams = {
      temperature: temperature ?? undefined,
      topK: topK ?? undefined,
      topP: topP ?? undefined,
      minP: minP ?? undefined,
      repetitionPenalty: repetitionPenalty ?? undefined,
      maxTokens: maxNewTokens ?? undefined,
    };
  }

  /**
   * Loads a model.
   *
   * @param source A folder in Transformers format, a `.gguf` file, a hub id, or `embedded`.
   * @throws {Deno.errors.NotFound} when there is no such model, or a file of it is missing; the message says what would be accepted.
   * @throws {Deno.errors.NotCapable} when a permission is missing; the message names the flag.
   * @throws {TypeError | RangeError | SyntaxError} when an option or a file is not what it should be; the message names it.
   * @throws {DeviceError} when the device is missing or too small.
   */
  static async fromPretrained(source: string, options?: LoadOptions): Promise<Engine> {
    const loaded = await loadModel(source, options);
    try {
      return new Engine(loaded, await AutoTokenizer.fromFiles(loaded.tokenizerFiles, loaded.host));
    } catch (error) {
      loaded.executable.close();
      throw error;
    }
  }

  /**
   * Takes a request in. It starts at once; its outputs are read by iterating, or with `result()`. Leaving the iteration early, `abort()` and the
   * request's signal cancel it: the last output has the finish reason `abort`.
   *
   * @throws {TypeError} when the request has no prompt or several, an unknown field, or a field or sampling parameter of the wrong type.
   * @throws {RangeError} when the prompt is empty, longer than the context or has an unknown token, or a sampling parameter is out of range.
   * @throws {DeviceError} when the device has failed.
   * @throws {Error} when the engine is disposed.
   */
  generate(request: GenerateRequest): RequestStream {
    if (this.#isDisposed) throw new Error("The engine is disposed");
    checkRequest(request);
    const { messages: _, chatTemplateOptions: __, samplingParams = this.defaultSamplingParams, ...rest } = request;
    const given = (["prompt", "promptTokenIds", "messages"] as const).filter((name) => request[name] !== undefined);
    if (given.length !== 1) throw new TypeError(`A request needs exactly one of prompt, promptTokenIds and messages, got ${given.join(" and ") || "none"}`);
    return this.#core.add({ ...rest, samplingParams, promptTokenIds: this.#promptTokenIds(request) });
  }

  /** Counters and rates. */
  metrics(): EngineMetrics {
    return this.#core.metrics();
  }

  /** Frees threads, device memory and tokenizer. Pending requests reject, and so do later ones. Safe to call twice. */
  dispose(): Promise<void> {
    if (!this.#isDisposed) {
      this.#isDisposed = true;
      this.#core.close(new Error("The engine is disposed"));
      this.#loaded.executable.close();
      this.tokenizer.free();
    }
    return Promise.resolve();
  }

  /** See {@link Engine.dispose}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #promptTokenIds({ prompt, promptTokenIds, messages, chatTemplateOptions }: GenerateRequest): ArrayLike<number> {
    if (promptTokenIds !== undefined) return promptTokenIds;
    if (prompt !== undefined) return this.tokenizer.encode(prompt);
    const { inputIds } = this.tokenizer.applyChatTemplate(messages!, {
      addGenerationPrompt: !chatTemplateOptions?.continueFinalMessage,
      ...chatTemplateOptions,
    });
    return inputIds[0];
  }
}
