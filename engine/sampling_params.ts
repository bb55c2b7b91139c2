/**
 * `SamplingParams`: how the tokens of a request are chosen and when they end. Names, defaults and rules are those of vLLM (sampling_params.py).
 *
 * @module
 */

/** What a stream of outputs carries: everything so far, what is new (a token at a time), or only the end. */
export type RequestOutputKind = "cumulative" | "delta" | "final";

/** Values of {@link SamplingParams}; everything may be left out. */
export interface SamplingOptions {
  /** Answers to one prompt. Default 1. */
  readonly n?: number;
  /** 0 takes the most likely token. Default 1. */
  readonly temperature?: number;
  /** Smallest set of most likely tokens whose probabilities sum to this. Default 1: all. */
  readonly topP?: number;
  /** Number of most likely tokens to choose from. Default 0: all; so does -1. */
  readonly topK?: number;
  /** Least probability, relative to the most likely token's. Default 0: any. */
  readonly minP?: number;
  /** Same seed, same text. Default: a random one for each answer. */
  readonly seed?: number | bigint;
  /** Penalty of tokens that occur in the answer, -2 to 2. Default 0. */
  readonly presencePenalty?: number;
  /** Penalty of tokens for each time they occur in the answer, -2 to 2. Default 0. */
  readonly frequencyPenalty?: number;
  /** Above 1: penalty of tokens that occur in prompt or answer. Default 1. */
  readonly repetitionPenalty?: number;
  /** What is added to the logits of some tokens, by token id. */
  readonly logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /** Texts that end the answer. */
  readonly stop?: string | readonly string[];
  /** Tokens that end the answer, beside the model's own. */
  readonly stopTokenIds?: readonly number[];
  /** Keep what ended the answer in its text. Default false. */
  readonly includeStopStrInOutput?: boolean;
  /** Go on after an end-of-text token. Default false. */
  readonly ignoreEos?: boolean;
  /** Most tokens of an answer; null: as many as the context holds. Default 16. */
  readonly maxTokens?: number | null;
  /** Fewest tokens of an answer. Default 0. */
  readonly minTokens?: number;
  /** Number of most likely tokens whose log probability is wanted beside the chosen one's. Default: none, not even that one's. */
  readonly logprobs?: number;
  /** Make text of the tokens. Default true. */
  readonly detokenize?: boolean;
  /** Leave special tokens out of the text. Default true. */
  readonly skipSpecialTokens?: boolean;
  /** Default `cumulative`. */
  readonly outputKind?: RequestOutputKind;
}

const outputKinds: readonly RequestOutputKind[] = ["cumulative", "delta", "final"];
const known = new Set([
  ...["n", "temperature", "topP", "topK", "minP", "seed", "presencePenalty", "frequencyPenalty", "repetitionPenalty", "logitBias", "stop"],
  ...["stopTokenIds", "includeStopStrInOutput", "ignoreEos", "maxTokens", "minTokens", "logprobs", "detokenize", "skipSpecialTokens", "outputKind"],
]);

/**
 * Checked sampling parameters.
 *
 * @example
 * ```ts
 * import { SamplingParams } from "@smolder/smolder";
 * const params = new SamplingParams({ temperature: 0.7, topP: 0.95, maxTokens: 256, stop: ["\n\n"] });
 * ```
 */
export class SamplingParams {
  /** Answers to one prompt. */
  readonly n: number;
  /** 0: greedy. */
  readonly temperature: number;
  /** 1: all. */
  readonly topP: number;
  /** 0: all. */
  readonly topK: number;
  /** 0: any. */
  readonly minP: number;
  /** Undefined: random. */
  readonly seed: bigint | undefined;
  /** 0: none. */
  readonly presencePenalty: number;
  /** 0: none. */
  readonly frequencyPenalty: number;
  /** 1: none. */
  readonly repetitionPenalty: number;
  /** Undefined: none. */
  readonly logitBias: ReadonlyMap<number, number> | undefined;
  /** Texts that end the answer. */
  readonly stop: readonly string[];
  /** Tokens that end the answer, beside the model's own. */
  readonly stopTokenIds: readonly number[];
  /** Keep what ended the answer in its text. */
  readonly includeStopStrInOutput: boolean;
  /** Go on after an end-of-text token. */
  readonly ignoreEos: boolean;
  /** Most tokens of an answer; Infinity: as many as the context holds. */
  readonly maxTokens: number;
  /** Fewest tokens of an answer. */
  readonly minTokens: number;
  /** Alternatives whose log probabilities are wanted; undefined: not even the chosen token's. */
  readonly logprobs: number | undefined;
  /** Make text of the tokens. */
  readonly detokenize: boolean;
  /** Leave special tokens out of the text. */
  readonly skipSpecialTokens: boolean;
  /** What outputs carry. */
  readonly outputKind: RequestOutputKind;

  /**
   * Checks parameters and fills in defaults.
   *
   * @throws {TypeError} when a parameter is unknown or of the wrong type.
   * @throws {RangeError} when one is out of range; the message names it and the range.
   */
  constructor(options: SamplingOptions = {}) {
    const unknown = Object.keys(options).find((name) => !known.has(name));
    if (unknown !== undefined) throw new TypeError(`Unknown sampling parameter ${unknown}: expected one of ${[...known].join(", ")}`);
    this.n = integer("n", options.n ?? 1, 1);
    this.temperature = real("temperature", options.temperature ?? 1, "at least 0", (value) => value >= 0);
    this.topP = real("topP", options.topP ?? 1, "above 0 and at most 1", (value) => value > 0 && value <= 1);
    this.topK = Math.max(0, integer("topK", options.topK ?? 0, -1));
    this.minP = real("minP", options.minP ?? 0, "from 0 to 1", (value) => value >= 0 && value <= 1);
    this.seed = options.seed === undefined ? undefined : seed(options.seed);
    this.presencePenalty = real("presencePenalty", options.presencePenalty ?? 0, "from -2 to 2", (value) => Math.abs(value) <= 2);
    this.frequencyPenalty = real("frequencyPenalty", options.frequencyPenalty ?? 0, "from -2 to 2", (value) => Math.abs(value) <= 2);
    this.repetitionPenalty = real("repetitionPenalty", options.repetitionPenalty ?? 1, "above 0", (value) => value > 0);
    this.logitBias = logitBias(options.logitBias);
    this.stop = list("stop", typeof options.stop === "string" ? [options.stop] : options.stop ?? [], "strings", (text) => typeof text === "string");
    if (this.stop.includes("")) throw new RangeError("Sampling parameter stop contains an empty string, which would end every answer at once");
    this.stopTokenIds = list("stopTokenIds", options.stopTokenIds ?? [], "token ids", isTokenId);
    this.includeStopStrInOutput = boolean("includeStopStrInOutput", options.includeStopStrInOutput ?? false);
    this.ignoreEos = boolean("ignoreEos", options.ignoreEos ?? false);
    this.maxTokens = options.maxTokens === null || options.maxTokens === Infinity ? Infinity : integer("maxTokens", options.maxTokens ?? 16, 1);
    this.minTokens = integer("minTokens", options.minTokens ?? 0, 0);
    this.logprobs = options.logprobs === undefined ? undefined : integer("logprobs", options.logprobs, 0);
    this.detokenize = boolean("detokenize", options.detokenize ?? true);
    this.skipSpecialTokens = boolean("skipSpecialTokens", options.skipSpecialTokens ?? true);
    this.outputKind = options.outputKind ?? "cumulative";
    if (!outputKinds.includes(this.outputKind)) {
      throw new RangeError(`Sampling parameter outputKind must be one of ${outputKinds.join(", ")}, got ${this.outputKind}`);
    }
    if (this.minTokens > this.maxTokens) {
      throw new RangeError(`Sampling parameter minTokens must be at most maxTokens, ${this.maxTokens}, got ${this.minTokens}`);
    }
    if (this.n > 1 && this.temperature === 0) {
      throw new RangeError(`Sampling parameter n must be 1 with temperature 0, which always gives the same, got ${this.n}`);
    }
    if (!this.detokenize && this.stop.length > 0) throw new RangeError("Sampling parameter stop needs detokenize, which is false");
  }

  /** Whether logits are changed before a token is drawn from them. */
  get hasPenalties(): boolean {
    return this.presencePenalty !== 0 || this.frequencyPenalty !== 0 || this.repetitionPenalty !== 1 || this.logitBias !== undefined;
  }
}

function isTokenId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function integer(name: string, value: unknown, least: number): number {
  if (typeof value !== "number") throw new TypeError(`Sampling parameter ${name} must be a number, got ${describe(value)}`);
  if (!Number.isSafeInteger(value) || value < least) throw new RangeError(`Sampling parameter ${name} must be an integer of at least ${least}, got ${value}`);
  return value;
}

function real(name: string, value: unknown, range: string, isAllowed: (value: number) => boolean): number {
  if (typeof value !== "number") throw new TypeError(`Sampling parameter ${name} must be a number, got ${describe(value)}`);
  if (!Number.isFinite(value) || !isAllowed(value)) throw new RangeError(`Sampling parameter ${name} must be ${range}, got ${value}`);
  return value;
}

function boolean(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw new TypeError(`Sampling parameter ${name} must be true or false, got ${describe(value)}`);
  return value;
}

function list<T>(name: string, value: readonly T[], what: string, isAllowed: (element: unknown) => boolean): readonly T[] {
  if (!Array.isArray(value) || !value.every(isAllowed)) throw new TypeError(`Sampling parameter ${name} must be a list of ${what}, got ${describe(value)}`);
  return value;
}

/** The seed as an unsigned number of 64 bits. */
function seed(value: unknown): bigint {
  if (typeof value !== "bigint" && typeof value !== "number") throw new TypeError(`Sampling parameter seed must be an integer, got ${describe(value)}`);
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new RangeError(`Sampling parameter seed must be an integer, got ${value}`);
  return BigInt.asUintN(64, BigInt(value));
}

function logitBias(given: SamplingOptions["logitBias"]): ReadonlyMap<number, number> | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== "object" || given === null) throw new TypeError(`Sampling parameter logitBias must map token ids to numbers, got ${describe(given)}`);
  const entries = given instanceof Map ? [...given] : Object.entries(given).map(([id, bias]) => [Number(id), bias] as const);
  for (const [id, bias] of entries) {
    if (!isTokenId(id)) throw new RangeError(`Sampling parameter logitBias must map token ids to numbers, got the id ${id}`);
    if (typeof bias !== "number" || Number.isNaN(bias)) {
      throw new TypeError(`Sampling parameter logitBias must map token ids to numbers, got ${describe(bias)} for ${id}`);
    }
  }
  return entries.length === 0 ? undefined : new Map(entries);
}

function describe(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
