/**
 * `generate` and `stream`: from token ids to sequences, each row of a batch a request to the engine.
 *
 * @module
 */
import type { LogitsProcessor } from "../engine/completion.ts";
import type { EngineCore } from "../engine/engine_core.ts";
import { type ResolvedGeneration, resolveGeneration } from "../engine/generation_config.ts";
import type { GenerationOptions } from "../engine/generation_options.ts";
import { buildLogitsProcessors } from "../engine/logits_processors.ts";
import type { RequestStream } from "../engine/request_stream.ts";
import type { SamplingOptions } from "../engine/sampling_params.ts";
import type { StoppingCriterion } from "../engine/stop_checker.ts";
import { checkFunctions, checkSignal, inWords, requireOptions } from "./arguments.ts";
import { rowsOf, type Tensor, type TokenIds } from "./forward.ts";
import { StopStrings } from "./stop_strings.ts";
import type { Streamer } from "./text_streamer.ts";

/** Arguments of `generate`: prompts, generation options, and what takes part in the work. */
export interface GenerateOptions extends GenerationOptions {
  /** `[B, T]` token ids of one prompt, or of several padded on the left. */
  inputIds: TokenIds;
  /** `[B, T]` 1 for tokens, 0 for padding. Left out: everything but the padding token, unless that ends texts, too. */
  attentionMask?: TokenIds;
  /** Options that the call's own win over, and that win over the model's. */
  generationConfig?: GenerationOptions;
  /** Gets the prompt, then each token; for one prompt only. */
  streamer?: Streamer;
  /** Applied after the processors that the options ask for, before temperature, top-k and the like. */
  logitsProcessor?: LogitsProcessor | readonly LogitsProcessor[];
  /** Asked after each token of each row. */
  stoppingCriteria?: StoppingCriterion | readonly StoppingCriterion[];
  /** Ends generation; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Arguments of `stream`. */
export interface StreamOptions extends Omit<GenerateOptions, "streamer"> {
  /** Give each token's log probability. */
  logprobs?: boolean;
}

/** What `generate` returns. */
export interface GenerateOutput {
  /** `[rows, length]` prompts and what follows them, padded at the end. */
  readonly sequences: number[][];
  /** For each new token `[rows, vocabSize]` logits after all processing; a row that has ended holds zeros. */
  readonly scores?: Tensor[];
  /** For each new token `[rows, vocabSize]` logits as the model gave them; a row that has ended holds zeros. */
  readonly logits?: Tensor[];
}

/** A token of `stream`. */
export interface StreamPiece {
  /** The token. */
  readonly tokenId: number;
  /** Text that can be printed now; empty while a character is incomplete, and for the token that ends the text. */
  readonly text: string;
  /** Log probability of the token, when asked for. */
  readonly logprob?: number;
  /** On the last piece: an end-of-text token, stop string or criterion, or the most tokens. */
  readonly finishReason?: "stop" | "length";
}

/** What generation runs on. */
export interface GenerationModel {
  readonly core: EngineCore;
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  /** `generation_config.json` over the token ids of `config.json`. */
  readonly defaults: GenerationOptions;
  /** Raw bytes of a token; asked for when there are stop strings. */
  readonly tokenBytes: () => Promise<(tokenId: number) => Uint8Array>;
}

/** One row of the batch, ready to be sent. */
interface Row {
  /** With padding. */
  readonly inputIds: readonly number[];
  /** Without. */
  readonly promptTokenIds: readonly number[];
  readonly processors: readonly LogitsProcessor[];
  readonly criteria: readonly StoppingCriterion[];
  readonly sampling: SamplingOptions;
}

/** A checked call. */
interface Call {
  readonly config: ResolvedGeneration;
  readonly rows: readonly Row[];
}

/**
 * @throws {TypeError} when an option is unknown, not supported yet, or of the wrong type or shape.
 * @throws {RangeError} when a value is out of range or a prompt is too long.
 */
export async function generate(model: GenerationModel, options: GenerateOptions): Promise<GenerateOutput> {
  requireOptions("generate", options);
  const { streamer, signal } = options;
  checkSignal(signal);
  checkStreamer(streamer);
  signal?.throwIfAborted();
  const { config, rows } = await prepare(model, options);
  if (streamer !== undefined && rows.length > 1) throw new TypeError(`A streamer takes one sequence, got ${rows.length}: leave it out`);
  for (const warning of config.warnings) console.warn(warning);
  streamer?.put(rows[0].inputIds);
  const steps = new StepRecorder(config, rows.length, model.vocabSize);
  const streams: RequestStream[] = [];
  try {
    rows.forEach((row, index) =>
      streams.push(model.core.add({
        ...request(row, config, signal),
        samplingParams: { ...row.sampling, detokenize: false, outputKind: streamer ? "delta" : "final" },
        onLogits: steps.isNeeded ? (_, raw, processed) => steps.add(index, raw, processed) : undefined,
      }))
    );
    if (streamer !== undefined) { for await (const { outputs } of streams[0]) if (outputs[0].tokenIds.length > 0) streamer.put(outputs[0].tokenIds); }
    const results = await Promise.all(streams.map((stream) => stream.result()));
    signal?.throwIfAborted();
    streamer?.end();
    const answers = results.map(({ outputs }) => outputs[0].tokenIds), longest = Math.max(...answers.map((tokens) => tokens.length));
    const padding = (count: number) => new Array<number>(count).fill(config.padTokenId);
    const sequences = rows.map(({ inputIds }, i) => [...inputIds, ...answers[i], ...padding(longest - answers[i].length)]);
    return { sequences, ...steps.output() };
  } finally {
    for (const stream of streams) stream.abort();
  }
}

/** {@link generate} of one row, token by token. Leaving the iteration ends the request. */
export async function* stream(model: GenerationModel, options: StreamOptions): AsyncGenerator<StreamPiece, void> {
  requireOptions("stream", options);
  const { logprobs, ...rest } = options;
  checkSignal(rest.signal);
  options.signal?.throwIfAborted();
  const { config, rows } = await prepare(model, rest);
  if (rows.length > 1) throw new TypeError(`stream takes one sequence, got ${rows.length}: use generate`);
  if (config.returnDictInGenerate) throw new TypeError("stream gives its tokens one by one: leave returnDictInGenerate out");
  for (const warning of config.warnings) console.warn(warning);
  const samplingParams = { ...rows[0].sampling, outputKind: "delta", logprobs: logprobs ? 0 : undefined } as const;
  const outputs = model.core.add({ ...request(rows[0], config, options.signal), samplingParams });
  for await (const { outputs: [{ tokenIds, text, finishReason, logprobs }] } of outputs) {
    options.signal?.throwIfAborted();
    if (tokenIds.length === 0) continue;
    yield {
      tokenId: tokenIds[0],
      text,
      ...(logprobs && { logprob: logprobs[0].logprob }),
      ...(finishReason && { finishReason: finishReason === "length" ? "length" : "stop" }),
    };
  }
}

function request({ promptTokenIds, processors, criteria }: Row, { eosTokenIds }: ResolvedGeneration, signal: AbortSignal | undefined) {
  return { promptTokenIds, eosTokenIds, signal, logitsProcessors: processors, stoppingCriteria: criteria };
}

async function prepare(model: GenerationModel, options: GenerateOptions): Promise<Call> {
  const { inputIds, attentionMask, generationConfig, streamer: _streamer, logitsProcessor, stoppingCriteria, signal: _signal, ...own } = options;
  refuseUnsupported(own);
  checkFunctions("logitsProcessor", logitsProcessor);
  checkFunctions("stoppingCriteria", stoppingCriteria);
  if (typeof inputIds === "string") throw new TypeError("generate needs inputIds as numbers: encode the text with the tokenizer");
  if (generationConfig != null) requireOptions("generationConfig", generationConfig);
  const inputs = rowsOf("inputIds", inputIds ?? []), length = inputs[0].length;
  if (length === 0) throw new TypeError("generate needs inputIds of at least one token");
  if (inputs.some((row) => row.length !== length)) throw new TypeError("The rows of inputIds must be equally long: pad them on the left");
  const { maxPositionEmbeddings, defaults } = model;
  const config = resolveGeneration([own, generationConfig, defaults], { promptLength: length, batchSize: inputs.length, maxPositionEmbeddings });
  const masks = maskRows(inputs, attentionMask, config);
  const isPaddedRight = inputs.length > 1 && masks.some((mask) => mask[length - 1] === 0);
  const tokenBytes = config.stopStrings.length > 0 ? await model.tokenBytes() : undefined;
  const stops = tokenBytes && new StopStrings(config.stopStrings, tokenBytes);
  const seed = config.seed ?? crypto.getRandomValues(new BigUint64Array(1))[0];
  const deadlineMs = config.maxTime === undefined ? undefined : performance.now() + config.maxTime * 1000;
  const rows = inputs.flatMap((row, b) => {
    const promptTokenIds = row.filter((_, column) => masks[b][column] !== 0);
    if (promptTokenIds.length === 0) throw new RangeError(`Row ${b} of attentionMask leaves no token of the prompt`);
    const padding = masks[b].findIndex((isShown) => isShown !== 0);
    return Array.from({ length: config.numReturnSequences }, (_, copy): Row => {
      const whole = withPadding(row, promptTokenIds.length);
      const { before, repetition, after, warpers, sampler } = buildLogitsProcessors(config, {
        promptLength: length,
        padding,
        eosTokenIds: config.eosTokenIds,
        warpAll: wantsScores(config),
      });
      const rest = [...after, ...[logitsProcessor ?? []].flat(), ...warpers];
      // A repetition penalty alone is the sampler's: where the device draws tokens, nothing comes to the host for it.
      const isPenalized = repetition.length > 0 && before.length + rest.length === 0 && promptTokenIds.length === length - padding;
      const processors = isPenalized ? [] : [...before, ...repetition, ...rest];
      const criteria = [stoppingCriteria ?? []].flat();
      const criterion = (ends: (tokenIds: readonly number[]) => boolean) => criteria.push(ends);
      if (stops !== undefined) criterion((tokenIds) => stops.matches(tokenIds));
      if (deadlineMs !== undefined) criterion(() => performance.now() > deadlineMs);
      return {
        inputIds: row,
        promptTokenIds,
        processors: processors.map((process) => (tokenIds, logits) => process(whole(tokenIds), logits)),
        criteria: criteria.map((ends) => (tokenIds) => ends(whole(tokenIds), length)),
        // The sampler takes no empty set of tokens; Transformers keeps the most likely one.
        sampling: {
          ...sampler,
          topP: Math.max(sampler.topP, 1e-6),
          repetitionPenalty: isPenalized ? config.repetitionPenalty : 1,
          seed: BigInt(seed) + BigInt(b * config.numReturnSequences + copy),
          maxTokens: config.maxNewTokens,
        },
      };
    });
  });
  const warnings = isPaddedRight ? [...config.warnings, "inputIds are padded on the right, answers start after the padding: pad on the left"] : config.warnings;
  return { config: { ...config, warnings }, rows };
}

function checkStreamer(streamer: Streamer | undefined): void {
  if (streamer === undefined || typeof streamer?.put === "function" && typeof streamer.end === "function") return;
  throw new TypeError(`Option streamer must have the methods put and end, got ${inWords(streamer)}`);
}

/** Transformers shows processors and criteria a row with its padding; the engine has it without. */
function withPadding(row: readonly number[], promptLength: number): (tokenIds: readonly number[]) => readonly number[] {
  if (row.length === promptLength) return (tokenIds) => tokenIds;
  const whole = [...row];
  return (tokenIds) => {
    for (let i = whole.length - row.length + promptLength; i < tokenIds.length; i++) whole.push(tokenIds[i]);
    return whole;
  };
}

function maskRows(inputs: readonly (readonly number[])[], attentionMask: TokenIds | undefined, config: ResolvedGeneration): readonly (readonly number[])[] {
  if (attentionMask !== undefined) {
    const masks = rowsOf("attentionMask", attentionMask);
    if (masks.length !== inputs.length || masks.some((mask) => mask.length !== inputs[0].length)) {
      throw new TypeError(`attentionMask must be [${inputs.length}, ${inputs[0].length}] like inputIds`);
    }
    return masks;
  }
  // Only what was meant as padding: a padding token that also ends texts may be part of a prompt.
  const isPadding = config.eosTokenIds.includes(config.padTokenId) ? () => false : (id: number) => id === config.padTokenId;
  return inputs.map((row) => row.map((id) => isPadding(id) ? 0 : 1));
}

/** Arguments of Transformers' `generate` that stand for ways of generating that are not there yet. */
function refuseUnsupported(options: Record<string, unknown>): void {
  for (const name of ["inputsEmbeds", "pastKeyValues", "assistantModel", "prefixAllowedTokensFn", "negativePromptIds", "customGenerate"]) {
    if (options[name] !== undefined && options[name] !== null) throw new TypeError(`generate does not support ${name} yet, leave it out`);
    delete options[name];
  }
}

function wantsScores({ returnDictInGenerate, outputScores }: ResolvedGeneration): boolean {
  return returnDictInGenerate === true && outputScores === true;
}

/** Collects the logits of each step where they are asked for. */
class StepRecorder {
  readonly isNeeded: boolean;
  readonly #config: ResolvedGeneration;
  readonly #rows: number;
  readonly #vocabSize: number;
  readonly #scores: Tensor[] = [];
  readonly #logits: Tensor[] = [];
  readonly #counts: number[];

  constructor(config: ResolvedGeneration, rows: number, vocabSize: number) {
    this.#config = config;
    this.#rows = rows;
    this.#vocabSize = vocabSize;
    this.#counts = new Array(rows).fill(0);
    this.isNeeded = wantsScores(config) || config.returnDictInGenerate === true && config.outputLogits === true;
  }

  add(row: number, raw: Float32Array, processed: Float32Array): void {
    const step = this.#counts[row]++;
    if (this.#config.outputScores) this.#put(this.#scores, step, row, processed);
    if (this.#config.outputLogits) this.#put(this.#logits, step, row, raw);
  }

  output(): Pick<GenerateOutput, "scores" | "logits"> {
    if (!this.isNeeded) return {};
    return { ...(this.#config.outputScores && { scores: this.#scores }), ...(this.#config.outputLogits && { logits: this.#logits }) };
  }

  #put(steps: Tensor[], step: number, row: number, values: Float32Array): void {
    steps[step] ??= { data: new Float32Array(this.#rows * this.#vocabSize), shape: [this.#rows, this.#vocabSize] };
    steps[step].data.set(values, row * this.#vocabSize);
  }
}
