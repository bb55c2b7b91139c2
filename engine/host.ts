/**
 * What the host module (Rust, compiled to Wasm, implemented in `wasm/host.ts`) offers the engine: storage conversion, tokenization, sampling.
 * The engine sees these interfaces only; `api/` hands the implementation in.
 *
 * @module
 */
import type { Format, StorageType } from "./formats.ts";

/** Converts rows between storage types. */
export interface Codec {
  /**
   * Converts whole rows of `cols` values.
   *
   * @returns Rows in `to`; a fresh array. To f32: exact dequantization. To a quantized format: the same whole numbers where it can hold those
   *   of `from` (see `engine/conversion.ts`), else GGML's reference rounding.
   * @throws {RangeError} when `bytes` is not a whole number of rows, `cols` not one of blocks, or nothing makes `to` out of `from`.
   */
  convert(bytes: Uint8Array, from: StorageType, to: Format, cols: number): Uint8Array<ArrayBuffer>;
  /**
   * Looks for NaN and infinity.
   *
   * @returns Index of the first value that is not finite, counted over all rows, or -1. In a block whose scale is not finite: its first value.
   * @throws {RangeError} when `bytes` is not a whole number of rows.
   */
  findNonFinite(bytes: Uint8Array, from: StorageType, cols: number): number;
}

/** A token that is matched in the text before anything else. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Left out by `skipSpecialTokens`. */
  readonly special: boolean;
  readonly singleWord: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
}

/** A byte-level BPE vocabulary, read from `tokenizer.json` or from GGUF metadata. */
export interface TokenizerSpec {
  /** Token strings by id in GPT-2's byte-to-unicode alphabet; holes are empty strings. */
  readonly tokens: readonly string[];
  /** Pairs `left right` of token strings in order of rank, as in tokenizer.json. */
  readonly merges: readonly (string | readonly [string, string])[];
  readonly addedTokens: readonly AddedToken[];
  /** A whole piece that is in the vocabulary is one token, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** The split: one of the two hand-written ones, or a regular expression (isolated matches), each applied in order before byte-level. */
  readonly split: readonly PreTokenizer[];
  /** Ids put before and after every text when special tokens are asked for. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  /** `tokens` and `merges` once more, as they lie in a GGUF file: each string in UTF-8 after its length in 64 bits. Saves making the strings. */
  readonly packed?: { readonly tokens: Uint8Array; readonly merges: Uint8Array };
  /** Offsets leave out the spaces at the ends of a token (ByteLevel's `trim_offsets`); `addPrefixSpace`: but not those at the start of the text. */
  readonly trimOffsets?: { readonly addPrefixSpace: boolean };
}

/** One stage of pre-tokenization. */
export type PreTokenizer =
  | { readonly type: "llama3" } // the Llama-3 split
  | { readonly type: "gpt2" } // the GPT-2 split (ByteLevel with use_regex)
  | { readonly type: "digits"; readonly individual: boolean }
  | {
    readonly type: "regex";
    readonly pattern: string;
    readonly behavior: "isolated" | "removed" | "mergedWithPrevious" | "mergedWithNext" | "contiguous";
    readonly invert: boolean;
  }
  | { readonly type: "prefixSpace" }; // ByteLevel's add_prefix_space

/** Text of tokens that arrive one by one. */
export interface Detokenizer {
  /** Takes a token. @returns Text that is now complete: never half a character; may be empty. */
  push(id: number): string;
  /** Ends the text. @returns What is left, cut characters as U+FFFD. */
  flush(): string;
  /** Frees its memory. */
  free(): void;
}

/** Result of {@link BpeTokenizer.encode}. */
export interface Encoding {
  readonly ids: Uint32Array;
  /** `[2 * ids.length]` start and end of each token in UTF-16 units of the text, when asked for. */
  readonly offsets?: Uint32Array;
}

/** A part of a text: template, or what people wrote. */
export interface TextPart {
  readonly text: string;
  /** Nothing in it can become an added token, nor a part of one. */
  readonly literal: boolean;
}

/** The tokenizer of the host module. */
export interface BpeTokenizer {
  readonly vocabSize: number;
  /** @param options `addedTokens: false` takes text literally: nothing in it can become an added token. */
  encode(text: string, options?: { addedTokens?: boolean; offsets?: boolean }): Encoding;
  /** Encodes parts as the one text that they make together; an added token lies in one part that is not literal. */
  encodeParts(parts: readonly TextPart[]): Uint32Array;
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** Raw bytes of one token. */
  tokenBytes(id: number): Uint8Array;
  detokenizer(options?: { skipSpecialTokens?: boolean }): Detokenizer;
  free(): void;
}

/** How one row of logits is turned into a token. Defaults: greedy, nothing else. */
export interface SamplerRow {
  /** 0 = greedy. */
  readonly temperature: number;
  /** 0 = all. */
  readonly topK: number;
  /** 1 = all. */
  readonly topP: number;
  /** 0 = all. */
  readonly minP: number;
  /** Key of the generator, low word first; taken modulo 2^64. */
  readonly seed: bigint;
  /** Counter of the Philox4x32-10 generator: number of tokens generated so far. The first output word's upper 24 bits over 2^24 are drawn with. */
  readonly position: number;
  /** Number of most likely tokens whose log probability is wanted beside the chosen one's; undefined = none, not even the chosen one's. */
  readonly logprobs?: number;
}

/** Penalties of one row, applied to its logits in place before anything else: logit bias, repetition, frequency and presence, as in vLLM. */
export interface PenaltyRow {
  /** Transformers' and vLLM's: over prompt and output; 1 = none. */
  readonly repetitionPenalty: number;
  /** vLLM's and OpenAI's: over the output; 0 = none. */
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly promptTokenIds: ArrayLike<number>;
  readonly outputTokenIds: ArrayLike<number>;
  readonly logitBias?: ReadonlyMap<number, number>;
}

/** A drawn token. */
export interface SampledToken {
  /** Which one. */
  readonly tokenId: number;
  /** Of the unmodified distribution (softmax of the logits as given to {@link Sampler.sample}), when asked for. */
  readonly logprob?: number;
  /** The most likely tokens, best first, when asked for. */
  readonly topLogprobs?: readonly { readonly tokenId: number; readonly logprob: number }[];
}

/** The sampler of the host module, batched over rows. */
export interface Sampler {
  /** Applies penalties and logit bias to one row in place. */
  penalize(logits: Float32Array, row: PenaltyRow): void;
  /**
   * Draws one token per row. Ties go to the lowest id; the same seed and position give the same token, whatever else is in the batch.
   *
   * @param logits `[rows.length, vocabSize]`; unchanged.
   * @throws {RangeError} when a row has NaN or nothing above -Infinity, or its settings make no sense; the message names the row.
   */
  sample(logits: Float32Array, rows: readonly SamplerRow[]): SampledToken[];
}

/** The sampler of the host module also shows what it draws from, and lends its memory. */
export interface HostSampler extends Sampler {
  /**
   * What one row is drawn from: the tokens that temperature, top-k, top-p and min-p leave, the most likely first.
   *
   * @param logits `[vocabSize]`; unchanged.
   * @throws {RangeError} as {@link Sampler.sample} does.
   */
  distribution(logits: Float32Array, row: SamplerRow): { readonly tokenId: number; readonly probability: number }[];
  /**
   * Room for `[rows, vocabSize]` logits that {@link Sampler.sample} need not copy. To be asked for anew for each batch: it is valid up to and
   * including the next call of anything of the host module.
   */
  logitsView(rows: number, vocabSize: number): Float32Array<ArrayBuffer>;
}

/** Everything the host module offers. */
export interface Host {
  readonly codec: Codec;
  readonly sampler: HostSampler;
  createTokenizer(spec: TokenizerSpec): BpeTokenizer;
}
