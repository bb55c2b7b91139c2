/**
 * How Python writes values: `str`, `repr`, `json.dumps`, `strftime`.
 *
 * @module
 */

/** A value as a chat template sees it. Objects are maps; `tuple` and `float` are what JavaScript cannot tell apart. */
export type PythonValue =
  | { readonly type: "none" | "undefined" }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "int" | "float"; readonly value: number }
  | { readonly type: "str"; readonly value: string }
  | { readonly type: "list" | "tuple"; readonly value: readonly PythonValue[] }
  | { readonly type: "dict"; readonly value: ReadonlyMap<string, PythonValue> };

/** Rewrites a string character by character, looking at it without its marks. */
export interface StringRewriter {
  map(text: string, change: (character: string) => string): string;
  plain(text: string): string;
  /** Keys of objects carry no mark inside, but are what people wrote. */
  mark(text: string): string;
}

/** `str(value)`; an undefined value is nothing. */
export function pythonStr(value: PythonValue, strings: StringRewriter): string {
  if (value.type === "str") return value.value;
  return value.type === "undefined" ? "" : pythonRepr(value, strings);
}

function pythonRepr(value: PythonValue, strings: StringRewriter): string {
  switch (value.type) {
    case "none":
      return "None";
    case "undefined":
      return "Undefined";
    case "bool":
      return value.value ? "True" : "False";
    case "int":
      return String(value.value);
    case "float":
      return pythonFloat(value.value);
    case "str":
      return quote(value.value, strings);
    case "list":
      return `[${value.value.map((item) => pythonRepr(item, strings)).join(", ")}]`;
    case "tuple":
      return `(${value.value.map((item) => pythonRepr(item, strings)).join(", ")}${value.value.length === 1 ? "," : ""})`;
    case "dict":
      return `{${Array.from(value.value, ([key, item]) => `${quote(strings.mark(key), strings)}: ${pythonRepr(item, strings)}`).join(", ")}}`;
  }
}

/** Single quotes, unless there are single ones inside and no double ones. */
function quote(text: string, strings: StringRewriter): string {
  const plain = strings.plain(text), mark = plain.includes("'") && !plain.includes('"') ? '"' : "'";
  return mark + strings.map(text, (character) => character === mark ? `\\${mark}` : reprCharacter(character)) + mark;
}

const named = new Map([["\\", "\\\\"], ["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"]]);

function reprCharacter(character: string): string {
  const name = named.get(character);
  if (name !== undefined) return name;
  if (character === " " || !/[\p{C}\p{Z}]/u.test(character)) return character;
  const code = character.codePointAt(0)!, hex = code.toString(16);
  return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** Shortest digits, as in JavaScript; the exponent from 1e16 and below 1e-4, with two digits. */
function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e16 || size < 1e-4)) return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return Number.isInteger(value) ? `${Object.is(value, -0) ? "-0" : value}.0` : String(value);
}

/** Arguments of `json.dumps`. */
export interface JsonOptions {
  readonly indent?: string;
  readonly separators?: readonly [string, string];
  readonly sortKeys?: boolean;
  readonly ensureAscii?: boolean;
}

/** `json.dumps(value, ensure_ascii=False)`. */
export function pythonJson(value: PythonValue, strings: StringRewriter, options: JsonOptions = {}, line = "\n"): string {
  const [comma, colon] = options.separators ?? [options.indent === undefined ? ", " : ",", ": "];
  const inner = line + (options.indent ?? "");
  const list = (open: string, items: string[], close: string) =>
    options.indent === undefined || items.length === 0 ? open + items.join(comma) + close : open + inner + items.join(comma + inner) + line + close;
  switch (value.type) {
    case "none":
    case "undefined":
      return "null";
    case "bool":
      return String(value.value);
    case "int":
      return String(value.value);
    case "float":
      return Number.isFinite(value.value) ? pythonFloat(value.value) : Number.isNaN(value.value) ? "NaN" : value.value > 0 ? "Infinity" : "-Infinity";
    case "str":
      return jsonString(value.value, strings, options);
    case "list":
    case "tuple":
      return list("[", value.value.map((item) => pythonJson(item, strings, options, inner)), "]");
    case "dict": {
      const entries = Array.from(value.value);
      if (options.sortKeys) entries.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
      const pair = ([key, item]: [string, PythonValue]) => jsonString(strings.mark(key), strings, options) + colon + pythonJson(item, strings, options, inner);
      return list("{", entries.map(pair), "}");
    }
  }
}

function jsonString(text: string, strings: StringRewriter, { ensureAscii }: JsonOptions): string {
  return `"${
    strings.map(text, (character) => {
      if (ensureAscii && character > "~") return Array.from({ length: character.length }, (_, i) => unicodeEscape(character.charCodeAt(i))).join("");
      // A lone surrogate stays: JSON.stringify would escape it, Python does not.
      return character >= "\ud800" && character.length === 1 ? character : JSON.stringify(character).slice(1, -1);
    })
  }"`;
}

function unicodeEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}

const months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** `datetime.strftime` in the C locale and local time. Unknown directives stay as they are. */
export function strftime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const year = date.getFullYear(), hour12 = date.getHours() % 12 || 12;
  const dayOfYear = Math.round((Date.UTC(year, date.getMonth(), date.getDate()) - Date.UTC(year, 0, 1)) / 86400e3) + 1;
  const directives: Record<string, () => string> = {
    Y: () => String(year),
    y: () => two(year % 100),
    m: () => two(date.getMonth() + 1),
    B: () => months[date.getMonth()],
    b: () => months[date.getMonth()].slice(0, 3),
    d: () => two(date.getDate()),
    e: () => String(date.getDate()).padStart(2),
    j: () => String(dayOfYear).padStart(3, "0"),
    A: () => days[date.getDay()],
    a: () => days[date.getDay()].slice(0, 3),
    H: () => two(date.getHours()),
    I: () => two(hour12),
    p: () => date.getHours() < 12 ? "AM" : "PM",
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
    F: () => strftime(date, "%Y-%m-%d"),
    T: () => strftime(date, "%H:%M:%S"),
    "%": () => "%",
  };
  return format.replace(/%(-?)([A-Za-z%])/g, (directive, dash: string, letter: string) => {
    if (!Object.hasOwn(directives, letter)) return directive;
    const text = directives[letter]();
    return dash === "" ? text : text.replace(/^[0 ]+(?=.)/, "");
  });
}
