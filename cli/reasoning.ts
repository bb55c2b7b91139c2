/**
 * Tells a model's reasoning (`<think>…</think>`) from its answer while the text streams.
 *
 * @module
 */

/** A piece of text, told apart. */
export interface Told {
  readonly reasoning: string;
  readonly answer: string;
}

/** Takes text in pieces, cut anywhere. */
export class ReasoningSplitter {
  #inside: boolean;
  /** The start of what may become a tag. */
  #held = "";
  /** Whether white space is to be dropped: after a tag. */
  #trim = false;

  /** @param inside Whether the prompt has opened the reasoning already. */
  constructor(inside = false) {
    this.#inside = inside;
  }

  push(text: string): Told {
    const told = { reasoning: "", answer: "" };
    let rest = this.#held + text;
    this.#held = "";
    while (rest !== "") {
      const tag = this.#inside ? "</think>" : "<think>";
      const at = rest.indexOf(tag);
      if (at < 0) {
        const cut = rest.length - overlap(rest, tag);
        this.#held = rest.slice(cut);
        this.#emit(told, rest.slice(0, cut));
        break;
      }
      this.#emit(told, rest.slice(0, at));
      rest = rest.slice(at + tag.length);
      this.#inside = !this.#inside;
      this.#trim = true;
    }
    return told;
  }

  /** What was held back. */
  flush(): Told {
    const told = { reasoning: "", answer: "" };
    this.#emit(told, this.#held);
    this.#held = "";
    return told;
  }

  #emit(told: { reasoning: string; answer: string }, text: string): void {
    if (this.#trim) text = text.trimStart();
    if (text === "") return;
    this.#trim = false;
    told[this.#inside ? "reasoning" : "answer"] += text;
  }
}

/** Length of the longest end of `text` that begins `tag`. */
export function overlap(text: string, tag: string): number {
  for (let length = Math.min(text.length, tag.length - 1); length > 0; length--) if (text.endsWith(tag.slice(0, length))) return length;
  return 0;
}
