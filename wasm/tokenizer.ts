/**
 * The tokenizer of the host module.
 *
 * @module
 */
import type { BpeTokenizer, Detokenizer, Encoding, PreTokenizer, TextPart, TokenizerSpec } from "../engine/host.ts";
import { type InitOutput, Tokenizer } from "./generated/host_bindgen.gen.js";
import { rewriteSplitExpression } from "./split_expression.ts";

/** Flags of `wasm/host/src/tokenizer/added.rs`. */
const SPECIAL = 1, SINGLE_WORD = 2, LSTRIP = 4, RSTRIP = 8, NORMALIZED = 16;

const encoder = new TextEncoder();

/** {@link BpeTokenizer} over the Rust one: text goes into its memory once, ids come out once. */
export class WasmTokenizer implements BpeTokenizer {
  readonly vocabSize: number;
  readonly #memory: WebAssembly.Memory;
  readonly #tokenizer = new Tokenizer();
  readonly #trimOffsets: TokenizerSpec["trimOffsets"];

  /** @throws {SyntaxError} when a merge joins what is no token, or a split expression cannot be used. */
  constructor(wasm: InitOutput, spec: TokenizerSpec) {
    this.#memory = wasm.memory;
    this.#trimOffsets = spec.trimOffsets;
    for (const token of spec.addedTokens) {
      const flags = (token.special ? SPECIAL : 0) | (token.singleWord ? SINGLE_WORD : 0) | (token.lstrip ? LSTRIP : 0) | (token.rstrip ? RSTRIP : 0) |
        (token.normalized ? NORMALIZED : 0);
      this.#tokenizer.addToken(token.id, token.content, flags);
    }
    this.vocabSize = spec.addedTokens.reduce((size, token) => Math.max(size, token.id + 1), this.#setTokens(spec));
    spec.split.forEach((stage) => this.#addStage(stage));
    this.#setMerges(spec);
  }

  encode(text: string, options: { addedTokens?: boolean; offsets?: boolean } = {}): Encoding {
    const length = this.#write(text), ranges = Uint32Array.of(0, options.addedTokens === false ? 0 : length);
    if (!options.offsets) return { ids: this.#ids(this.#tokenizer.encode(length, ranges)) };
    const trim = this.#trimOffsets;
    const count = this.#tokenizer.encodeWithOffsets(length, ranges, trim !== undefined, trim?.addPrefixSpace ?? false);
    return { ids: this.#ids(count), offsets: new Uint32Array(this.#memory.buffer, this.#tokenizer.offsets(), 2 * count).slice() };
  }

  encodeParts(parts: readonly TextPart[]): Uint32Array {
    const capacity = 3 * parts.reduce((sum, part) => sum + part.text.length, 0), address = this.#tokenizer.input(capacity);
    const bytes = new Uint8Array(this.#memory.buffer, address, capacity), ranges: number[] = [];
    let length = 0;
    for (const part of parts) {
      const start = length;
      length += encoder.encodeInto(part.text, bytes.subarray(start)).written;
      if (!part.literal) ranges.push(start, length);
    }
    return this.#ids(this.#tokenizer.encode(length, Uint32Array.from(ranges)));
  }

  decode(ids: ArrayLike<number>, options: { skipSpecialTokens?: boolean } = {}): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.#bytes(ids, options.skipSpecialTokens ?? false));
  }

  tokenBytes(id: number): Uint8Array {
    return this.#bytes([id], false).slice();
  }

  detokenizer(options: { skipSpecialTokens?: boolean } = {}): Detokenizer {
    const skipSpecialTokens = options.skipSpecialTokens ?? false;
    // The decoder's own memory of a cut character is the whole state.
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      push: (id) => decoder.decode(this.#bytes([id], skipSpecialTokens), { stream: true }),
      flush: () => decoder.decode(),
      free: () => {},
    };
  }

  free(): void {
    this.#tokenizer.free();
  }

  /** Added tokens are matched before anything else; among the tokens they would let plain text become one. Single bytes are needed to spell text. */
  #setTokens(spec: TokenizerSpec): number {
    const packed = spec.packed === undefined ? -1 : this.#tokenizer.unpackStrings(this.#writeBytes(spec.packed.tokens), true);
    if (packed >= 0) return this.#tokenizer.setTokens(packed);
    const tokens = spec.tokens.slice();
    for (const { id } of spec.addedTokens) {
      if (id < tokens.length && tokens[id].length > 1) tokens[id] = "";
    }
    const count = this.#tokenizer.setTokens(this.#write(tokens.join("\0")));
    if (count !== Math.max(tokens.length, 1)) throw new SyntaxError("Cannot read the vocabulary: a token holds the character U+0000");
    return tokens.length;
  }

  #setMerges(spec: TokenizerSpec): void {
    const packed = spec.packed === undefined ? -1 : this.#tokenizer.unpackStrings(this.#writeBytes(spec.packed.merges), false);
    const text = (merge: TokenizerSpec["merges"][number]) => typeof merge === "string" ? merge : `${merge[0]} ${merge[1]}`;
    const failed = this.#tokenizer.setMerges(packed >= 0 ? packed : this.#write(spec.merges.map(text).join("\0")), spec.ignoreMerges);
    if (failed < 0) return;
    throw new SyntaxError(`Cannot use merge ${failed} (${JSON.stringify(text(spec.merges[failed]))}): it must join two tokens to a third of the vocabulary`);
  }

  #addStage(stage: PreTokenizer): void {
    switch (stage.type) {
      case "llama3":
        return this.#tokenizer.addLlama3();
      case "gpt2":
        return this.#tokenizer.addGpt2();
      case "digits":
        return this.#tokenizer.addDigits(stage.individual);
      case "prefixSpace":
        return this.#tokenizer.addPrefixSpace();
      case "regex":
        try {
          return this.#tokenizer.addRegex(rewriteSplitExpression(stage.pattern), stage.behavior, stage.invert);
        } catch (error) {
          const reason = error instanceof Error ? error.message : error;
          throw new SyntaxError(`Cannot split text by the expression ${stage.pattern}: ${reason}`);
        }
    }
  }

  #writeBytes(bytes: Uint8Array): number {
    const address = this.#tokenizer.input(bytes.length);
    new Uint8Array(this.#memory.buffer, address, bytes.length).set(bytes);
    return bytes.length;
  }

  /** Writes text as UTF-8 into the tokenizer's input, lone surrogates as U+FFFD. Returns the number of bytes. */
  #write(text: string): number {
    const capacity = text.length * 3, address = this.#tokenizer.input(capacity); // may grow the memory: its buffer comes after
    return encoder.encodeInto(text, new Uint8Array(this.#memory.buffer, address, capacity)).written;
  }

  #ids(count: number): Uint32Array {
    return new Uint32Array(this.#memory.buffer, this.#tokenizer.ids(), count).slice();
  }

  /** A view that the next call may overwrite. */
  #bytes(ids: ArrayLike<number>, skipSpecialTokens: boolean): Uint8Array<ArrayBuffer> {
    const address = this.#tokenizer.idInput(ids.length);
    new Uint32Array(this.#memory.buffer, address, ids.length).set(ids);
    const length = this.#tokenizer.decode(skipSpecialTokens);
    return new Uint8Array(this.#memory.buffer as ArrayBuffer, this.#tokenizer.bytes(), length);
  }
}
