/**
 * Split expressions of tokenizers, in Oniguruma's dialect, for the small engine of the host module: it has no tables of Unicode and no lookahead.
 *
 * @module
 */

/** The lookahead that split expressions use: white space, but not its last character before a word. */
const spacesBeforeWord = "\\s+(?!\\S)";
/** Up to the end; or all but the last character, which the engine leaves to the next match because of the name. */
const withoutLookahead = "\\s+\\z|(?P<shortened>\\s+\\s)";

/** Classes by their letter. */
const shorthands: Readonly<Record<string, string>> = { s: "\\p{White_Space}", d: "\\p{Nd}", w: "[\\p{L}\\p{M}\\p{N}\\p{Pc}]" };

/**
 * Rewrites an expression.
 *
 * @throws {SyntaxError} when it uses what cannot be rewritten; the message says what.
 */
export function rewriteSplitExpression(pattern: string): string {
  return alternatives(pattern).map((alternative) => {
    if (alternative === spacesBeforeWord) return spellClasses(withoutLookahead);
    if (/\(\?(?:[=!>]|<[=!])/.test(alternative)) throw new SyntaxError(`lookaround is not supported, but for ${spacesBeforeWord}: ${alternative}`);
    return spellClasses(alternative);
  }).join("|");
}

/** One element of an expression: an escape (with the braces of a property), or a character. */
const element = /\\[pPx]\{[^}]*\}|\\[^]|[^]/gu;

/** The alternatives at the top of an expression. */
function alternatives(pattern: string): string[] {
  const found = [""];
  let depth = 0, isClass = false, isQuantified = false, before = "";
  for (const [part] of pattern.matchAll(element)) {
    const quantifies = !isClass && /^[*+?}]$/.test(part) && !(part === "?" && before === "(");
    if (part === "+" && isQuantified && !isClass) throw new SyntaxError("possessive quantifiers are not supported");
    if (part === "[") isClass = true;
    else if (part === "]") isClass = false;
    else if (!isClass && part === "(") depth++;
    else if (!isClass && part === ")") depth--;
    isQuantified = quantifies && !isQuantified;
    before = part;
    if (part === "|" && depth === 0 && !isClass) found.push("");
    else found[found.length - 1] += part;
  }
  return found;
}

/** Puts ranges of code points in the place of Unicode classes. */
function spellClasses(pattern: string): string {
  let result = "", isClass = false;
  for (const [part] of pattern.matchAll(element)) {
    if (part === "[") isClass = true;
    else if (part === "]") isClass = false;
    const name = className(part);
    result += name === undefined ? part : isClass ? ranges(name) : `[${ranges(name)}]`;
  }
  return result;
}

/** The class that an escape stands for, as JavaScript writes it. */
function className(escape: string): string | undefined {
  if (/^\\[pP]\{/.test(escape)) return escape.startsWith("\\p{^") ? `\\P{${escape.slice(4)}` : escape;
  const letter = escape.length === 2 && escape[0] === "\\" ? escape[1] : "";
  if (Object.hasOwn(shorthands, letter)) return shorthands[letter];
  const negated = letter.toLowerCase();
  return Object.hasOwn(shorthands, negated) ? `[^${shorthands[negated]}]` : undefined;
}

const spelled = new Map<string, string>();
let everything: string | undefined;

/** The code points of a class, as `\x{41}-\x{5a}\x{61}-...`. */
function ranges(name: string): string {
  let text = spelled.get(name);
  if (text === undefined) {
    everything ??= Array.from({ length: 0x110 }, (_, i) => Array.from({ length: 0x1000 }, (_, j) => character(i * 0x1000 + j)).join("")).join("");
    const hex = (character: string) => `\\x{${character.codePointAt(0)!.toString(16)}}`;
    text = Array.from(everything.matchAll(new RegExp(`${name}+`, "gu")), ([run]) => `${hex(run)}-${hex(run.slice(/[\udc00-\udfff]$/.test(run) ? -2 : -1))}`)
      .join("");
    spelled.set(name, text);
  }
  return text;
}

function character(codePoint: number): string {
  return codePoint >= 0xd800 && codePoint < 0xe000 ? "" : String.fromCodePoint(codePoint);
}
