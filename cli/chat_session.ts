/**
 * A conversation and its settings, and the commands that change them; knows nothing of terminals.
 *
 * @module
 */
import { readValue, samplingFlags, suggestion } from "./flags.ts";
import { UsageError } from "./usage_error.ts";

/** One turn. */
export interface Message {
  readonly role: "user" | "assistant";
  readonly content: string;
}

/** What a line of the user comes to. */
export type Outcome =
  | { readonly kind: "message"; readonly text: string }
  | { readonly kind: "reply"; readonly text: string }
  | { readonly kind: "leave" };

/** Parameters by the names of their flags. */
export type Parameters = { [K in ParameterName]?: number | string[] };
const parameterNames = ["max-new-tokens", "temperature", "top-k", "top-p", "min-p", "seed", "stop"] as const;
type ParameterName = (typeof parameterNames)[number];

const help = `  /help                          This list
  /set parameter NAME VALUE      ${parameterNames.join(", ")}
  /set system TEXT               System message
  /set think, /set nothink       Reason before the answer, or not (also /think, /nothink)
  /show                          Model, settings and length of the conversation
  /clear                         Start over
  /save [FILE], /load FILE       Keep the conversation as JSON, take it up again (chat.json)
  /exit, Ctrl+D                  Leave
  """                            Begins and ends a message of several lines
  Ctrl+C                         Stops the answer
Also !help !status !clear !exit !save !set NAME=VALUE… !example NAME, as in transformers chat`;

/** Questions to try, by the names that transformers chat has. */
const examples: Readonly<Record<string, string>> = {
  llama: "A llama stands in my garden and will not leave. What can I do?",
  code: "Write a Python function that tells whether a number is prime, and explain it.",
  helicopter: "Can a person eat a helicopter? Explain why or why not.",
  numbers: "Count from 1 to 20 and write every third number as a word.",
  birds: "Why do birds sing in the morning?",
  socks: "I have 3 black, 5 red and 2 green socks in a drawer. How many must I take without looking to have a pair?",
  numbers2: "Which number is larger, 9.11 or 9.9? Explain.",
};

/** Commands by name, for suggestions. */
const commands = ["help", "set", "show", "status", "think", "nothink", "clear", "save", "load", "exit", "quit", "bye", "example"];

/** Messages, parameters and settings of one chat. */
export class ChatSession {
  readonly messages: Message[] = [];
  readonly parameters: Parameters;
  system: string | undefined;
  /** undefined: as the template decides. */
  think: boolean | undefined;
  /** What `/show` prints first. */
  readonly #about: () => string;

  constructor(options: { parameters?: Parameters; system?: string; think?: boolean; about?: () => string } = {}) {
    this.parameters = { ...options.parameters };
    this.system = options.system;
    this.think = options.think;
    this.#about = options.about ?? (() => "");
  }

  /** What goes to the template: the system message, if any, then the turns. */
  get conversation(): { role: string; content: string }[] {
    return [...(this.system ? [{ role: "system", content: this.system }] : []), ...this.messages];
  }

  /** Takes a line: a command is carried out, anything else is a message. Mistakes become replies. */
  take(line: string): Outcome {
    const match = /^[/!]([a-z]+)(?:\s+([^]*))?$/.exec(line.trim());
    if (match === null) return { kind: "message", text: line };
    try {
      return this.#command(match[1], match[2]?.trim() ?? "", line.trim()[0]);
    } catch (error) {
      if (error instanceof UsageError) return { kind: "reply", text: error.message };
      throw error;
    }
  }

  #command(name: string, rest: string, mark: string): Outcome {
    const reply = (text: string): Outcome => ({ kind: "reply", text });
    switch (name) {
      case "help":
        return reply(help);
      case "set":
        return reply(this.#set(rest));
      case "show":
      case "status":
        return reply(this.#show());
      case "think":
      case "nothink":
        return reply(this.#set(name));
      case "clear":
        this.messages.length = 0;
        return reply("The conversation is empty");
      case "save":
        return reply(this.#save(rest || "chat.json"));
      case "load":
        return reply(this.#load(rest || "chat.json"));
      case "exit":
      case "quit":
      case "bye":
        return { kind: "leave" };
      case "example":
        if (Object.hasOwn(examples, rest)) return { kind: "message", text: examples[rest] };
        throw new UsageError(`Unknown example ${rest}: choose one of ${Object.keys(examples).join(", ")}`);
      default:
        throw new UsageError(`Unknown command ${mark}${name}${suggestion(name, commands, mark)}: ${mark}help lists them`);
    }
  }

  #set(rest: string): string {
    const [what, ...words] = rest.split(/\s+/);
    if (what === "think" || what === "nothink") {
      this.think = what === "think";
      return this.think ? "The model reasons before it answers" : "The model answers at once";
    }
    if (what === "system") {
      this.system = rest.slice("system".length).trim() || undefined;
      return this.system === undefined ? "No system message" : `System message: ${this.system}`;
    }
    if (what === "parameter" && words.length >= 2) return this.#setParameter(words[0], words.slice(1).join(" "));
    if (rest.includes("=")) return rest.split(/\s+/).map((pair) => this.#setParameter(...(pair.split(/=(.*)/s, 2) as [string, string]))).join("\n");
    throw new UsageError("/set needs: parameter NAME VALUE, system TEXT, think or nothink");
  }

  #setParameter(name: string, value: string | undefined): string {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll("_", "-") as ParameterName;
    if (!parameterNames.includes(flag)) throw new UsageError(`Unknown parameter ${name}${suggestion(flag, parameterNames, "")}`);
    const read = readValue(flag, samplingFlags[flag], value ?? "");
    this.parameters[flag] = flag === "stop" ? [read as string] : read as number;
    return `${flag} = ${value}`;
  }

  #show(): string {
    const parameters = Object.entries(this.parameters).filter(([, value]) => value !== undefined);
    return [
      this.#about(),
      `Parameters: ${parameters.map(([name, value]) => `${name} ${value}`).join(", ") || "those of the model"}`,
      `System message: ${this.system ?? "none"}`,
      `Reasoning: ${this.think === undefined ? "as the chat template decides" : this.think ? "on" : "off"}`,
      `Messages: ${this.messages.length}`,
    ].filter((line) => line !== "").join("\n");
  }

  #save(file: string): string {
    const { parameters, system, think } = this;
    const text = JSON.stringify({ settings: { parameters, system, think }, chat_history: this.messages }, null, 2) + "\n";
    withFile(`Cannot save to ${file}`, () => Deno.writeTextFileSync(file, text));
    return `Saved ${this.messages.length} messages to ${file}`;
  }

  #load(file: string): string {
    const saved = withFile(`Cannot load ${file}`, () => JSON.parse(Deno.readTextFileSync(file)));
    const isMessage = (message: Message) => ["user", "assistant"].includes(message?.role) && typeof message.content === "string";
    if (!Array.isArray(saved?.chat_history) || !saved.chat_history.every(isMessage)) {
      throw new UsageError(`Cannot load ${file}: it holds no chat, expected chat_history with the messages of user and assistant`);
    }
    const { parameters = {}, system, think } = saved.settings ?? {};
    if (!["string", "undefined"].includes(typeof system)) throw new UsageError(`Cannot load ${file}: settings.system must be a text`);
    if (!["boolean", "undefined"].includes(typeof think)) throw new UsageError(`Cannot load ${file}: settings.think must be true or false`);
    const read = parameterNames.filter((name) => parameters[name] != null).map((name) => {
      const values = [parameters[name]].flat().map((value) => readValue(`Cannot load ${file}: ${name}`, samplingFlags[name], String(value)));
      return [name, name === "stop" ? values : values[0]];
    });
    Object.assign(this.parameters, Object.fromEntries(read));
    this.messages.splice(0, Infinity, ...saved.chat_history);
    this.system = system;
    this.think = think;
    return `Loaded ${this.messages.length} messages from ${file}`;
  }
}

/** Does something with a file; whatever keeps it from that is told in a sentence. */
function withFile<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const reasons = [
      [Deno.errors.NotFound, "there is no such file or folder"],
      [Deno.errors.PermissionDenied, "permission denied"],
      [Deno.errors.IsADirectory, "it is a folder"],
    ] as const;
    const known = reasons.find(([kind]) => error instanceof kind);
    throw new UsageError(`${what}: ${known ? known[1] : error instanceof Error ? error.message : String(error)}`);
  }
}
