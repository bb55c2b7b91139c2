/**
 * `AutoTokenizer`: text to token ids and back, and chats to prompts.
 *
 * @module
 */
import type { BpeTokenizer, Detokenizer, Host, TokenizerSpec } from "../engine/host.ts";
import { resolveSource } from "../engine/loader/source.ts";
import { openTokenizerFiles, specialToken, type TokenizerFiles } from "../engine/loader/tokenizer_files.ts";
import { inWords, requireOptions } from "./arguments.ts";
import { type BatchEncoding, type BatchOptions, checkText, encodeBatch } from "./batch_encoding.ts";
import { ChatRenderer, type ChatTemplateOptions, type Message } from "./chat_renderer.ts";

export type { BatchEncoding, BatchOptions, ChatTemplateOptions, Message };

/** Options of {@link AutoTokenizer.fromPretrained}. */
export interface TokenizerOptions {
  /** Branch, tag or commit of a hub id. */
  readonly revision?: string;
  /** Folder of downloaded models. */
  readonly cacheDir?: string;
  /** Access token of the hub. */
  readonly token?: string;
  /** Never touch the network. */
  readonly localFilesOnly?: boolean;
}

/** Options of decoding. */
export interface DecodeOptions {
  /** Leave out special tokens, such as `<|im_end|>`. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/**
 * The tokenizer of a model.
 *
 * @example
 * ```ts
 * import { AutoTokenizer } from "@smolder/smolder";
 * const tokenizer = await AutoTokenizer.fromPretrained("embedded");
 * const ids = tokenizer.encode("Hello world");
 * console.log(tokenizer.decode(ids)); // Hello world
 * ```
 */
export class AutoTokenizer {
  /** Id of the token that begins a text, null when there is none. */
  readonly bosTokenId: number | null;
  /** Id of the token that ends an answer, null when there is none. */
  readonly eosTokenId: number | null;
  /** Id of the token that fills up batches, null when there is none. */
  readonly padTokenId: number | null;
  /** Number of ids, added tokens included. */
  readonly vocabSize: number;
  /** Jinja source of the default chat template. */
  readonly chatTemplate: string | null;
  /** Longest text that the model was made for, in tokens; Infinity when its files do not say. */
  readonly modelMaxLength: number;
  readonly #bpe: BpeTokenizer;
  #isFreed = false;
  readonly #spec: TokenizerSpec;
  readonly #config: TokenizerFiles["config"];
  readonly #chat: ChatRenderer;

  private constructor(files: TokenizerFiles, spec: TokenizerSpec, host: Host) {
    this.#bpe = host.createTokenizer(spec);
    this.#spec = spec;
    this.#config = files.config;
    this.#chat = new ChatRenderer(files);
    const id = (key: string) => {
      const token = specialToken(files.config, key);
      return token === null ? null : this.#id(token);
    };
    this.bosTokenId = id("bos_token");
    this.eosTokenId = id("eos_token");
    this.padTokenId = id("pad_token");
    this.vocabSize = this.#bpe.vocabSize;
    this.chatTemplate = files.chatTemplate;
    const length = files.config.model_max_length;
    // Transformers writes 1e30 for "not known".
    this.modelMaxLength = typeof length === "number" && length > 0 && length < 1e18 ? length : Infinity;
  }

  /**
   * Loads the tokenizer of a model. Reads no weights.
   *
   * @param source A folder in Transformers format, a `.gguf` file, a hub id, or `embedded`.
   * @throws {Deno.errors.NotFound} when the model or its tokenizer.json is missing; the message says what would be accepted.
   * @throws {SyntaxError} when a file cannot be read, or is of a kind that is not supported; the message names file and key.
   */
  static async fromPretrained(source: string, options: TokenizerOptions = {}): Promise<AutoTokenizer> {
    requireOptions("AutoTokenizer", options, ["revision", "cacheDir", "token", "localFilesOnly"]);
    const [host, files] = await Promise.all([
      import("../wasm/host.ts").then(({ loadHost }) => loadHost()),
      resolveSource(source, options).then(openTokenizerFiles),
    ]);
    return await AutoTokenizer.fromFiles(files, host);
  }

  /** Makes the tokenizer that a model's files describe. */
  static async fromFiles(files: TokenizerFiles, host: Host): Promise<AutoTokenizer> {
    return new AutoTokenizer(files, await files.spec(), host);
  }

  /**
   * Encodes one text.
   *
   * @param options `addSpecialTokens`: put before and after the text what the model expects there. Default true.
   * @returns Token ids.
   * @throws {TypeError} when the text is no string, or an option is unknown.
   */
  encode(text: string, options: { addSpecialTokens?: boolean } = {}): number[] {
    checkText(text);
    requireOptions("encode", options, ["addSpecialTokens"]);
    const { prefix, suffix } = this.#edges(options.addSpecialTokens);
    return joined(prefix, this.#usable.encode(text).ids, suffix);
  }

  /**
   * Encodes several texts, to one length when asked for.
   *
   * @returns A row for each text, `[texts, tokens]`.
   * @throws {TypeError} when an option is unknown or of the wrong type, or texts are to be padded and there is no padding token.
   * @throws {RangeError} when `maxLength` is no number of tokens.
   */
  encodeBatch(texts: readonly string[], options: BatchOptions = {}): BatchEncoding {
    return encodeBatch(texts, options, {
      ...this.#edges(options.addSpecialTokens),
      encode: (text, offsets) => this.#usable.encode(text, { offsets }),
      padTokenId: this.padTokenId,
      paddingSide: this.#config.padding_side === "left" ? "left" : "right",
      truncationSide: this.#config.truncation_side === "left" ? "left" : "right",
      modelMaxLength: this.modelMaxLength,
    });
  }

  /**
   * Decodes tokens to the text as it is: nothing is cleaned up. Cut characters become U+FFFD, ids without a token nothing.
   *
   * @throws {TypeError} when the ids are no list of whole numbers.
   */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    if (typeof ids !== "object" || ids === null || !("length" in ids)) throw new TypeError("Cannot decode: expected a list of token ids");
    for (let i = 0; i < ids.length; i++) {
      if (!Number.isInteger(ids[i])) {
        throw new TypeError(`Cannot decode ${inWords(ids[i])}: expected a list of token ids; for several lists there is batchDecode`);
      }
    }
    requireOptions("decode", options, ["skipSpecialTokens"]);
    return this.#usable.decode(ids, options);
  }

  /**
   * Decodes each sequence.
   *
   * @throws {TypeError} as {@link AutoTokenizer.decode}.
   */
  batchDecode(sequences: readonly ArrayLike<number>[], options: DecodeOptions = {}): string[] {
    if (!Array.isArray(sequences)) throw new TypeError(`Cannot decode ${inWords(sequences)}: expected a list of lists of token ids`);
    return sequences.map((ids) => this.decode(ids, options));
  }

  /** Renders a chat as the prompt that the model expects. */
  applyChatTemplate(messages: readonly Message[], options: ChatTemplateOptions & { tokenize: false }): string;
  /**
   * Renders a chat as the prompt that the model expects, and encodes it. No text of a message or tool can become a control token.
   *
   * @throws {TypeError} when there is no template, or the template refuses the messages: in its own words.
   * @throws {SyntaxError} when the template cannot be parsed or uses what is not supported.
   */
  applyChatTemplate(messages: readonly Message[], options?: ChatTemplateOptions): BatchEncoding;
  applyChatTemplate(messages: readonly Message[], options: ChatTemplateOptions & { tokenize?: boolean } = {}): string | BatchEncoding {
    const { tokenize = true, ...others } = options;
    const parts = this.#chat.render(messages, others);
    if (!tokenize) return parts.map((part) => part.text).join("");
    const ids = Array.from(this.#usable.encodeParts(parts));
    return { inputIds: [ids], attentionMask: [new Array(ids.length).fill(1)] };
  }

  /** The id of a token given by its text (an added token) or its string in the vocabulary, null when there is none. */
  tokenToId(token: string): number | null {
    return this.#id(token);
  }

  /** Raw bytes of one token; none for an id without a token. */
  tokenBytes(id: number): Uint8Array {
    return this.#usable.tokenBytes(id);
  }

  /** Decodes tokens that arrive one by one: never half a character. */
  detokenizer(options: DecodeOptions = {}): Detokenizer {
    return this.#usable.detokenizer(options);
  }

  /** Frees its memory; encoding and decoding are errors from then on. Safe to call twice. */
  free(): void {
    if (!this.#isFreed) this.#bpe.free();
    this.#isFreed = true;
  }

  get #usable(): BpeTokenizer {
    if (this.#isFreed) throw new Error("The tokenizer is freed: load it again");
    return this.#bpe;
  }

  #id(token: string): number | null {
    const id = this.#spec.addedTokens.find(({ content }) => content === token)?.id ?? this.#spec.tokens.indexOf(token);
    return id < 0 ? null : id;
  }

  #edges(addSpecialTokens = true): { prefix: readonly number[]; suffix: readonly number[] } {
    return addSpecialTokens ? this.#spec : { prefix: [], suffix: [] };
  }
}

/** A plain array of all ids. Filling it by hand is several times faster than spreading. */
function joined(prefix: readonly number[], ids: Uint32Array, suffix: readonly number[]): number[] {
  const result: number[] = new Array(prefix.length + ids.length + suffix.length);
  let end = 0;
  for (const id of prefix) result[end++] = id;
  for (let i = 0; i < ids.length; i++) result[end++] = ids[i];
  for (const id of suffix) result[end++] = id;
  return result;
}
