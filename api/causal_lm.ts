/**
 * `AutoModelForCausalLM` and `SmolLM3ForCausalLM`: a model with its language-model head.
 *
 * @module
 */
import type { Device } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import { EngineCore } from "../engine/engine_core.ts";
import type { GenerationConfig } from "../engine/generation_config.ts";
import { AutoTokenizer } from "./auto_tokenizer.ts";
import { type CausalLMOutput, forward, type ForwardInputs } from "./forward.ts";
import { generate, type GenerateOptions, type GenerateOutput, type GenerationModel, stream, type StreamOptions, type StreamPiece } from "./generate.ts";
import { type LoadedModel, loadModel, type LoadOptions } from "./load_model.ts";

/**
 * A loaded model. Frees threads and memory with {@link SmolLM3ForCausalLM.dispose}, or at the end of an `await using`.
 *
 * @example
 * ```ts
 * import { AutoModelForCausalLM, AutoTokenizer } from "@smolder/smolder";
 * const tokenizer = await AutoTokenizer.fromPretrained("embedded");
 * await using model = await AutoModelForCausalLM.fromPretrained("embedded");
 * const inputs = tokenizer.applyChatTemplate([{ role: "user", content: "What is rain?" }], { addGenerationPrompt: true });
 * let answer = "";
 * for await (const { text } of model.stream({ ...inputs, maxNewTokens: 64 })) answer += text;
 * ```
 */
export class SmolLM3ForCausalLM implements AsyncDisposable {
  /** Sizes and kinds of its layers. */
  readonly config: SmolLM3Config;
  /** `generation_config.json`; may be changed, is read at each call. */
  generationConfig: GenerationConfig;
  /** Where the model runs. */
  readonly device: Device;
  /** Most tokens of a sequence, prompt and answer together. */
  readonly maxModelLen: number;
  readonly #loaded: LoadedModel;
  readonly #core: EngineCore;
  #tokenizer: Promise<AutoTokenizer> | undefined;
  #readyTokenizer: AutoTokenizer | undefined;
  #isDisposed = false;

  /** @ignore Use {@link SmolLM3ForCausalLM.fromPretrained}. */
  constructor(loaded: LoadedModel) {
    const { config, executable, rope, host, schedulerOptions } = loaded;
    this.#loaded = loaded;
    this.config = config;
    this.generationConfig = loaded.generationConfig;
    this.device = loaded.backend.device;
    this.maxModelLen = schedulerOptions.maxContext;
    this.#core = new EngineCore({
      executable,
      rope,
      sampler: host.sampler,
      vocabSize: config.vocabSize,
      // Whoever wants text has waited for the tokenizer before.
      tokenizer: { detokenizer: (options) => this.#readyTokenizer!.detokenizer(options) },
      scheduler: schedulerOptions,
    });
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
  static async fromPretrained(source: string, options?: LoadOptions): Promise<SmolLM3ForCausalLM> {
    return new SmolLM3ForCausalLM(await loadModel(source, options));
  }

  /** Why it runs on its device, and how it works there, for people. What a device turns out not to do shows later. */
  get deviceReason(): string {
    const { deviceReason, executable: { remark } } = this.#loaded;
    return remark === undefined ? deviceReason : `${deviceReason}; ${remark}`;
  }

  /**
   * The tokenizer that comes with the model; the same one at each call.
   *
   * @throws {Error} when the model is disposed, and its tokenizer with it.
   */
  tokenizer(): Promise<AutoTokenizer> {
    if (this.#isDisposed) return Promise.reject(new Error("The model is disposed"));
    return this.#tokenizer ??= AutoTokenizer.fromFiles(this.#loaded.tokenizerFiles, this.#loaded.host).then((tokenizer) => this.#readyTokenizer = tokenizer);
  }

  /**
   * Logits, and the loss where labels are given. Waits for the step of the engine that is under way.
   *
   * @throws {TypeError} when arguments are missing, contradict each other, or are not supported yet.
   * @throws {RangeError} when a token id does not exist or the text does not fit into the KV cache.
   */
  forward(inputs: ForwardInputs): Promise<CausalLMOutput> {
    const { config, executable, rope, compileOptions } = this.#loaded;
    return this.#core.exclusive(() => forward(inputs, { config, executable, rope, pool: this.#core.pool, options: compileOptions }));
  }

  /**
   * Continues prompts. Options and their defaults are those of Transformers; greedy unless `doSample` is set here or in the model's files.
   *
   * @throws {TypeError} when an option is unknown, not supported yet, or of the wrong type or shape.
   * @throws {RangeError} when a value is out of range or a prompt is longer than the context.
   */
  generate(options: GenerateOptions): Promise<GenerateOutput> {
    return generate(this.#generation(), options);
  }

  /**
   * Continues one prompt and gives each token as soon as it is there. Leaving the loop ends the generation.
   *
   * @throws As {@link SmolLM3ForCausalLM.generate}.
   */
  async *stream(options: StreamOptions): AsyncGenerator<StreamPiece, void> {
    await this.tokenizer();
    yield* stream(this.#generation(), options);
  }

  /** Frees threads, device memory and tokenizer. Pending calls reject. Safe to call twice. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    this.#core.close(new Error("The model is disposed"));
    this.#loaded.executable.close();
    (await this.#tokenizer?.catch(() => undefined))?.free();
  }

  /** See {@link SmolLM3ForCausalLM.dispose}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #generation(): GenerationModel {
    const { vocabSize, maxPositionEmbeddings, eosTokenIds, padTokenId, bosTokenId } = this.config;
    return {
      core: this.#core,
      vocabSize,
      maxPositionEmbeddings,
      defaults: { eosTokenId: eosTokenIds, padTokenId, bosTokenId, ...this.generationConfig },
      tokenBytes: async () => {
        const tokenizer = await this.tokenizer();
        return (tokenId) => tokenizer.tokenBytes(tokenId);
      },
    };
  }
}

/** A causal language model of any class. */
export type CausalLM = SmolLM3ForCausalLM;

/** Loads the model class that a checkpoint asks for. */
export class AutoModelForCausalLM {
  /** See {@link SmolLM3ForCausalLM.fromPretrained}. */
  static fromPretrained(source: string, options?: LoadOptions): Promise<SmolLM3ForCausalLM> {
    return SmolLM3ForCausalLM.fromPretrained(source, options);
  }
}
