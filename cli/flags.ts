/**
 * Flags of every command, read from the command line and from the environment (`SMOLDER_MAX_NEW_TOKENS` for `--max-new-tokens`; the flag wins).
 *
 * @module
 */
import { parseArgs } from "node:util";
import { UsageError } from "./usage_error.ts";

/** What a flag takes and what `--help` says about it. */
export interface Flag {
  readonly type: "string" | "number" | "integer" | "boolean";
  /** What stands for the value in `--help`. */
  readonly value?: string;
  readonly help: string;
  readonly multiple?: boolean;
  readonly short?: string;
  /** The flag that it cannot stand beside. One on the command line wins over the other in the environment. */
  readonly excludes?: string;
  /** Whether an empty text is a mistake. */
  readonly nonEmpty?: boolean;
  readonly choices?: readonly string[];
  /** Least and greatest value of a number. */
  readonly range?: readonly [number, number];
}

/** Flags by name, as they are typed. */
export type Flags = Readonly<Record<string, Flag>>;

/** Flags that every command takes. */
export const commonFlags = {
  model: { type: "string", value: "SOURCE", nonEmpty: true, help: "Folder, .gguf file, hub id or URL (default: embedded)" },
  device: { type: "string", value: "NAME", help: "auto, wasm or webgpu", choices: ["auto", "wasm", "webgpu"] },
  dtype: { type: "string", value: "TYPE", help: "auto, float32, bfloat16 or float16", choices: ["auto", "float32", "bfloat16", "float16"] },
  quantization: { type: "string", value: "FORMAT", help: "Quantize while loading: q8_0, q4_0, nf4 or fp4", choices: ["q8_0", "q4_0", "nf4", "fp4"] },
  activations: { type: "string", value: "TYPE", help: "auto, float32 or int8", choices: ["auto", "float32", "int8"] },
  offline: { type: "boolean", help: "Never touch the network" },
  verbose: { type: "boolean", help: "More detail on stderr" },
  help: { type: "boolean", short: "h", help: "Show this help" },
} as const satisfies Flags;

/** Threads to compute with. */
export const threadsFlag = {
  threads: { type: "integer", value: "N", help: "Threads to compute with (default, and at most: as many as there are cores)", range: [1, 1024] },
} as const satisfies Flags;

/** Flags of commands that make text. */
export const samplingFlags = {
  "max-new-tokens": { type: "integer", value: "N", help: "Most tokens of an answer", range: [1, 2 ** 31] },
  temperature: { type: "number", value: "T", help: "0 is greedy (default: the model's)", range: [0, 100] },
  "top-k": { type: "integer", value: "K", help: "Draw from the K likeliest tokens, 0 from all", range: [0, 2 ** 31] },
  "top-p": { type: "number", value: "P", help: "Draw from the likeliest tokens that make up P", range: [0, 1] },
  "min-p": { type: "number", value: "P", help: "Draw from tokens at least P times as likely as the likeliest", range: [0, 1] },
  seed: { type: "integer", value: "N", help: "Same seed, same text", range: [0, Number.MAX_SAFE_INTEGER] },
  stop: { type: "string", value: "TEXT", multiple: true, nonEmpty: true, help: "End the answer before TEXT (repeatable)" },
  system: { type: "string", value: "TEXT", help: "System message of a chat" },
  think: { type: "boolean", excludes: "no-think", help: "Let the model reason before it answers" },
  "no-think": { type: "boolean", help: "Answer at once" },
} as const satisfies Flags;

type ValueOf<F extends Flag> = F["type"] extends "boolean" ? boolean : F["type"] extends "string" ? string : number;
/** Values of flags by name; what was not given is undefined. */
export type Values<F extends Flags> = { readonly [K in keyof F]?: F[K] extends { multiple: true } ? ValueOf<F[K]>[] : ValueOf<F[K]> };

/** A parsed command line. */
export interface Parsed<F extends Flags> {
  readonly values: Values<F>;
  readonly positionals: readonly string[];
  /** Flags that are on the command line itself, not in the environment. */
  readonly given: ReadonlySet<string>;
}

/** Name of a flag's environment twin. */
export function environmentName(flag: string): string {
  return `SMOLDER_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * @param environment Gives a variable's value; undefined when it is not set.
 * @throws {UsageError} when a flag is unknown, lacks its value or has a bad one.
 */
export function parseFlags<F extends Flags>(args: readonly string[], flags: F, environment: (name: string) => string | undefined): Parsed<F> {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(flags).map(([name, flag]) => [name, { type: flag.type === "boolean" ? "boolean" : "string", ...(flag.short && { short: flag.short }) }]),
    ),
    strict: false,
    tokens: true,
  });
  const values: Record<string, unknown> = {};
  const positionals: string[] = [];
  for (const [name, flag] of Object.entries(flags)) {
    const text = environment(environmentName(name));
    if (text !== undefined && text !== "") {
      values[name] = flag.multiple ? [readValue(environmentName(name), flag, text)] : readValue(environmentName(name), flag, text);
    }
  }
  const given = new Set<string>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const flag = flags[token.name];
    if (flag === undefined) throw new UsageError(`Unknown flag ${token.rawName}${suggestion(token.name, Object.keys(flags))}`);
    if (flag.type === "boolean" && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value, got ${token.value}`);
    if (flag.type !== "boolean" && token.value === undefined) throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${flag.value}`);
    if (token.value?.startsWith("--") && !token.inlineValue && token.value.slice(2) in flags) {
      throw new UsageError(`${token.rawName} needs a value, got the flag ${token.value}: if that is the value, write ${token.rawName}=${token.value}`);
    }
    const value = flag.type === "boolean" ? true : readValue(token.rawName, flag, token.value!);
    if (!flag.multiple) values[token.name] = value;
    else if (given.has(token.name)) (values[token.name] as unknown[]).push(value);
    else values[token.name] = [value];
    given.add(token.name);
  }
  for (const [name, { excludes }] of Object.entries(flags)) {
    if (excludes === undefined || !isSet(values[name]) || !isSet(values[excludes])) continue;
    if (given.has(name) === given.has(excludes)) throw new UsageError(`Give --${name} or --${excludes}, not both`);
    delete values[given.has(name) ? excludes : name];
  }
  return { values: values as Values<F>, positionals, given };
}

/**
 * The model that a command with an argument SOURCE is to use: that one, or else `--model`.
 *
 * @throws {UsageError} when both are on the command line, or two SOURCEs.
 */
export function sourceOf(
  command: string,
  { positionals, given, values }: Pick<Parsed<Flags>, "positionals" | "given"> & { readonly values: { readonly model?: string } },
): string {
  if (positionals.length > 1) throw new UsageError(`Unexpected argument ${positionals[1]}: ${command} takes one SOURCE`);
  if (positionals.length > 0 && given.has("model")) throw new UsageError("Give SOURCE or --model, not both");
  return positionals[0] ?? values.model ?? "embedded";
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== false;
}

/**
 * The value of a flag from its text.
 *
 * @param name What a message calls the flag.
 * @throws {UsageError} when the text is no such value.
 */
export function readValue(name: string, flag: Flag, text: string): string | number | boolean {
  if (flag.type === "boolean") {
    if (["1", "true", "yes"].includes(text)) return true;
    if (["0", "false", "no"].includes(text)) return false;
    throw new UsageError(`${name} must be 1 or 0, got ${text}`);
  }
  if (flag.type === "string") {
    if (flag.nonEmpty && text === "") throw new UsageError(`${name} is empty: give ${flag.value}, or leave it out`);
    if (flag.choices && !flag.choices.includes(text)) throw new UsageError(`${name} must be one of ${flag.choices.join(", ")}, got ${text}`);
    return text;
  }
  const value = text.trim() === "" ? NaN : Number(text);
  if (!Number.isFinite(value) || (flag.type === "integer" && !Number.isSafeInteger(value))) {
    throw new UsageError(`${name} must be a ${flag.type === "integer" ? "whole number" : "number"}, got ${text}`);
  }
  const [least, greatest] = flag.range ?? [-Infinity, Infinity];
  if (value < least || value > greatest) throw new UsageError(`${name} must be between ${least} and ${greatest}, got ${text}`);
  return value;
}

/** `, did you mean --X` when a known name is two letters or a third of them away. */
export function suggestion(name: string, known: readonly string[], dashes = "--"): string {
  const nearest = known.map((candidate) => ({ candidate, distance: editDistance(name, candidate) })).sort((a, b) => a.distance - b.distance)[0];
  return nearest !== undefined && nearest.distance < name.length && nearest.distance <= Math.max(2, name.length / 3)
    ? `, did you mean ${dashes}${nearest.candidate}`
    : "";
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/** The flags as lines of `--help`. */
export function describeFlags(flags: Flags): string {
  return Object.entries(flags).map(([name, flag]) => {
    const left = `  --${name}${flag.value ? ` ${flag.value}` : ""}${flag.short ? `, -${flag.short}` : ""}`;
    return `${left.padEnd(28)} ${flag.help}`;
  }).join("\n");
}
