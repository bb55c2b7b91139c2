/**
 * String methods and filters of Jinja and Python that the template library lacks, or has without arguments or marks.
 *
 * @module
 */
import type { Marker } from "./marked_text.ts";
import { itemsOf, listOf, textOf, toValue, type Value } from "./template_values.ts";

/**
 * Calls a method of `str`, or a filter that takes a string.
 *
 * @param text The string, with its marks.
 * @returns Undefined when there is no method of that name here.
 */
export function callStringMethod(marker: Marker, text: string, name: string, args: readonly Value[], named: ReadonlyMap<string, Value>): Value | undefined {
  const string = (i: number, key: string, fallback: string | null = null) => {
    const value = args[i] ?? named.get(key);
    return value === undefined || value.value === null ? fallback : textOf(value) ?? String(value.value);
  };
  const integer = (i: number, key: string, fallback: number) => Number((args[i] ?? named.get(key))?.value ?? fallback);
  const flag = (i: number, key: string) => (args[i] ?? named.get(key))?.value === true;
  const plain = () => marker.plain(text);
  switch (name) {
    case "strip":
    case "lstrip":
    case "rstrip":
      return toValue(marker.strip(text, string(0, "chars"), name === "strip" ? "both" : name === "lstrip" ? "left" : "right"));
    case "split":
    case "rsplit":
      return listOf(marker.split(text, string(0, "sep"), integer(1, "maxsplit", -1), name === "rsplit").map(toValue));
    case "splitlines":
      return listOf(splitLines(marker, text).map(toValue));
    case "replace":
      return toValue(marker.replace(text, string(0, "old", "")!, string(1, "new", "")!, integer(2, "count", -1)));
    case "startswith":
    case "endswith": {
      const affixes = (itemsOf(args[0]) ?? [args[0]]).map((affix) => marker.plain(textOf(affix) ?? ""));
      return toValue(affixes.some((affix) => name === "startswith" ? plain().startsWith(affix) : plain().endsWith(affix)));
    }
    case "removeprefix": {
      const prefix = marker.plain(string(0, "prefix", "")!);
      return toValue(plain().startsWith(prefix) ? marker.units(text).slice(Array.from(prefix).length).join("") : text);
    }
    case "removesuffix": {
      const suffix = marker.plain(string(0, "suffix", "")!), units = marker.units(text);
      return toValue(plain().endsWith(suffix) ? units.slice(0, units.length - Array.from(suffix).length).join("") : text);
    }
    case "find":
      return toValue(
        Array.from(plain().slice(0, Math.max(0, plain().indexOf(marker.plain(string(0, "sub", "")!))))).length -
          (plain().includes(marker.plain(string(0, "sub", "")!)) ? 0 : 1),
      );
    case "count":
      return args.length === 0 ? toValue(marker.units(text).length) : toValue(plain().split(marker.plain(string(0, "sub", "")!)).length - 1);
    case "length":
      return toValue(marker.units(text).length);
    case "upper":
      return toValue(marker.map(text, (character) => character.toUpperCase()));
    case "lower":
      return toValue(marker.map(text, (character) => character.toLowerCase()));
    case "title": {
      let isStart = true;
      return toValue(marker.map(text, (character) => {
        const result = isStart ? character.toUpperCase() : character.toLowerCase();
        isStart = !/\p{L}/u.test(character);
        return result;
      }));
    }
    case "capitalize": {
      let isFirst = true;
      return toValue(marker.map(text, (character) => {
        const result = isFirst ? character.toUpperCase() : character.toLowerCase();
        isFirst = false;
        return result;
      }));
    }
    case "isdigit":
      return toValue(/^\p{Nd}+$/u.test(plain()));
    case "isspace":
      return toValue(text !== "" && marker.strip(text, null, "both") === "");
    case "join":
      return args.length === 0 ? toValue(text) : toValue((itemsOf(args[0]) ?? []).map((item) => textOf(item) ?? String(item.value)).join(text));
    case "indent":
      return toValue(indent(marker, text, args[0] ?? named.get("width"), flag(1, "first"), flag(2, "blank")));
  }
}

/** Without the ends of lines, and without an empty last line. */
function splitLines(marker: Marker, text: string): string[] {
  const lines: string[] = [];
  const units = marker.units(text);
  let line = "";
  for (let i = 0; i < units.length; i++) {
    const character = marker.plain(units[i]);
    if (character !== "\n" && character !== "\r") {
      line += units[i];
      continue;
    }
    if (character === "\r" && i + 1 < units.length && marker.plain(units[i + 1]) === "\n") i++;
    lines.push(line);
    line = "";
  }
  return line === "" ? lines : [...lines, line];
}

function indent(marker: Marker, text: string, width: Value | undefined, first: boolean, blank: boolean): string {
  const space = width === undefined ? "    " : textOf(width) ?? " ".repeat(Number(width.value));
  return marker.split(text, "\n").map((line, i) => (i === 0 ? first : blank || line !== "") ? space + line : line).join("\n");
}
