/**
 * Text that knows which of its characters come from people and which from a template.
 *
 * A mark, a character that occurs nowhere else, stands before each character that somebody wrote. Marks travel with their characters through whatever a
 * template does; what has none was written by the template's author, who alone may write control tokens.
 *
 * @module
 */
import type { TextPart } from "./host.ts";

/** What Python takes for white space (`str.isspace`). */
const pythonSpace = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** String operations of Python, on marked and unmarked text alike. Positions count characters without marks. */
export class Marker {
  readonly #mark: string;
  readonly #unit: RegExp;

  /** @param texts Texts in which the mark must not occur. */
  constructor(texts: Iterable<string>) {
    this.#mark = unusedCharacter(texts);
    this.#unit = new RegExp(`${this.#mark}?[^]`, "gu");
  }

  mark(text: string): string {
    if (text === "") return "";
    // Splitting by units would tear surrogate pairs apart.
    const characters = /[\ud800-\udfff]/.test(text) ? Array.from(text) : text.split("");
    return this.#mark + characters.join(this.#mark);
  }

  /** The text without marks. */
  plain(text: string): string {
    return text.includes(this.#mark) ? text.replaceAll(this.#mark, "") : text;
  }

  /** Characters, each with its mark. */
  units(text: string): string[] {
    return text.includes(this.#mark) ? text.match(this.#unit) ?? [] : Array.from(text);
  }

  /** Replaces each character; what comes of a marked one is marked. */
  map(text: string, change: (character: string) => string): string {
    return this.units(text).map((unit) => unit.startsWith(this.#mark) ? this.mark(change(unit.slice(1))) : change(unit)).join("");
  }

  /** Runs of what people wrote and what the template did. */
  parts(text: string): TextPart[] {
    const mark = this.#mark, parts: TextPart[] = [];
    for (const [run] of text.matchAll(new RegExp(`(?:${mark}[^])+|[^${mark}]+`, "gu"))) {
      parts.push({ text: this.plain(run), literal: run.startsWith(mark) });
    }
    return parts;
  }

  strip(text: string, chars: string | null, sides: "left" | "right" | "both"): string {
    const set = chars === null ? pythonSpace : Array.from(this.plain(chars), RegExp.escape).join("");
    if (set === "") return text;
    const run = `(?:${this.#mark}?[${set}])+`;
    if (sides !== "right") text = text.replace(new RegExp(`^${run}`, "u"), "");
    if (sides !== "left") text = text.slice(0, this.#endWithout(text, new RegExp(`^[${set}]$`, "u")));
    return text;
  }

  /** Where the last character outside the set ends. A regular expression for it would look at every run anew. */
  #endWithout(text: string, set: RegExp): number {
    let end = text.length;
    while (end > 0) {
      const start = end - 1 - (end > 1 && /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(end - 2, end)) ? 1 : 0);
      if (!set.test(text.slice(start, end))) break;
      end = start > 0 && text[start - 1] === this.#mark ? start - 1 : start;
    }
    return end;
  }

  /** `str.split`, or `str.rsplit` with `fromRight`. */
  split(text: string, separator: string | null, limit = -1, fromRight = false): string[] {
    const pattern = separator === null ? new RegExp(`[${pythonSpace}]+`, "gu") : new RegExp(RegExp.escape(this.plain(separator)), "gu");
    if (separator === "") throw new Error("empty separator");
    if (separator === null) text = this.strip(text, null, "both");
    if (separator === null && text === "") return [];
    let matches = this.#find(text, pattern);
    if (limit >= 0) matches = fromRight ? matches.slice(Math.max(0, matches.length - limit)) : matches.slice(0, limit);
    const pieces: string[] = [];
    let from = 0;
    for (const { start, end } of matches) {
      pieces.push(text.slice(from, start));
      from = end;
    }
    return [...pieces, text.slice(from)];
  }

  replace(text: string, old: string, by: string, limit = -1): string {
    const matches = this.#find(text, new RegExp(RegExp.escape(this.plain(old)), "gu"));
    let result = "", from = 0;
    for (const { start, end } of limit >= 0 ? matches.slice(0, limit) : matches) {
      result += text.slice(from, start) + by;
      from = end;
    }
    return result + text.slice(from);
  }

  /** Matches in the text without marks, as ranges of the text with them. */
  #find(text: string, pattern: RegExp): { start: number; end: number }[] {
    const plain = this.plain(text), matches = [...plain.matchAll(pattern)];
    if (plain.length === text.length) return matches.map(({ index, 0: match }) => ({ start: index, end: index + match.length }));
    // Position in the marked text of each unit of the plain one; a mark belongs to what follows it.
    const places = new Uint32Array(plain.length + 1);
    for (let at = 0, i = 0; at < text.length; at++) {
      places[i] = at;
      if (text[at] === this.#mark) at++;
      i++;
    }
    places[plain.length] = text.length;
    return matches.map(({ index, 0: match }) => ({ start: places[index], end: places[index + match.length] }));
  }
}

/** A character that no text has: one of the noncharacters, which mean nothing, or of the private ones, which have no agreed meaning. */
function unusedCharacter(texts: Iterable<string>): string {
  const used = new Set<string>();
  for (const text of texts) for (const [character] of text.matchAll(/[\ufdd0-\ufdef\ue000-\uf8ff]/g)) used.add(character);
  for (const [first, last] of [[0xfdd0, 0xfdef], [0xe000, 0xf8ff]]) {
    for (let code = first; code <= last; code++) if (!used.has(String.fromCharCode(code))) return String.fromCharCode(code);
  }
  throw new RangeError("Cannot render the messages: they use every private character of Unicode, and one is needed to keep them apart from the template");
}
