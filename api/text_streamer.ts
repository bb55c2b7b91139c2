/**
 * `TextStreamer`: prints text while `generate` makes it. Source: streamers.py of transformers/generation.
 *
 * @module
 */

/** What `generate` hands its tokens to: the prompt first, then one token at a time. */
export interface Streamer {
  /** Takes the prompt, then the next token. */
  put(tokenIds: readonly number[]): void;
  /** Nothing more comes. */
  end(): void;
}

/** What a streamer needs of a tokenizer. */
export interface TokenDecoder {
  /** Text of tokens. */
  decode(tokenIds: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
}

/** Options of {@link TextStreamer}. */
export interface TextStreamerOptions {
  /** Leave the prompt out. Default false. */
  readonly skipPrompt?: boolean;
  /** Leave special tokens out. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/**
 * Writes whole words to standard output as soon as they are complete. Override {@link TextStreamer.onFinalizedText} to put them elsewhere.
 *
 * @example
 * ```ts
 * import { AutoModelForCausalLM, AutoTokenizer, TextStreamer } from "@smolder/smolder";
 * const tokenizer = await AutoTokenizer.fromPretrained("embedded");
 * await using model = await AutoModelForCausalLM.fromPretrained("embedded");
 * await model.generate({ inputIds: tokenizer.encode("Once upon a time"), maxNewTokens: 8, streamer: new TextStreamer(tokenizer) });
 * ```
 */
export class TextStreamer implements Streamer {
  readonly #tokenizer: TokenDecoder;
  readonly #options: TextStreamerOptions;
  #tokens: number[] = [];
  #printed = 0;
  #promptIsNext = true;

  /** Streams to standard output; `tokenizer` makes the text. */
  constructor(tokenizer: TokenDecoder, options: TextStreamerOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /** Takes the prompt, or the next token. */
  put(tokenIds: readonly number[]): void {
    const isPrompt = this.#promptIsNext;
    this.#promptIsNext = false;
    if (isPrompt && this.#options.skipPrompt) return;
    this.#tokens.push(...tokenIds);
    const text = this.#decode();
    let end = text.lastIndexOf(" ") + 1;
    if (text.endsWith("\n") || isIdeograph(text)) end = text.length;
    const printable = text.slice(this.#printed, end);
    this.#printed = Math.max(this.#printed, end);
    if (text.endsWith("\n")) this.#clear();
    this.onFinalizedText(printable, false);
  }

  /** Takes what is left. */
  end(): void {
    const rest = this.#tokens.length > 0 ? this.#decode().slice(this.#printed) : "";
    this.#clear();
    this.#promptIsNext = true;
    this.onFinalizedText(rest, true);
  }

  /**
   * Gets each piece of text once.
   *
   * @param text May be empty.
   * @param streamEnd Whether this is the last piece.
   */
  onFinalizedText(text: string, streamEnd: boolean): void {
    const bytes = new TextEncoder().encode(streamEnd ? text + "\n" : text);
    for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
  }

  #decode(): string {
    return this.#tokenizer.decode(this.#tokens, { skipSpecialTokens: this.#options.skipSpecialTokens });
  }

  #clear(): void {
    this.#tokens = [];
    this.#printed = 0;
  }
}

/** Whether a text ends in a character of the CJK Unified Ideographs blocks, which are words of their own. */
function isIdeograph(text: string): boolean {
  return /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\u{2f800}-\u{2fa1f}]$/u.test(text);
}
