/**
 * Chat templates: Jinja as Transformers runs it.
 *
 * @module
 */
import { Environment, parse, tokenize } from "@huggingface/jinja";
import type { TextPart } from "./host.ts";
import { Marker } from "./marked_text.ts";
import { strftime } from "./python_text.ts";
import { type Node, prepare, TemplateInterpreter } from "./template_interpreter.ts";
import { toValue } from "./template_values.ts";

/** What a template is rendered with. */
export interface TemplateInput {
  /** Variables that people fill: `messages`, `tools`, and what else a template reads. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** Variables that the model's files fill, such as `bos_token`: text in them is the template author's own. */
  readonly trusted?: Readonly<Record<string, unknown>>;
  /** The day of `strftime_now`. */
  readonly date: Date;
  /** Render only up to the end of the last message's content, for the model to go on with it. */
  readonly continueFinalMessage?: boolean;
}

/** Stands where the last message ends; the space shows whether the template strips what comes after content. */
const endTag = "\ufdd0\ufdd1\ufdd0 ";

/** A parsed template. */
export class ChatTemplate {
  readonly #tree: Node;
  readonly #name: string;

  /**
   * @param source Jinja source.
   * @param name What it is called in messages.
   * @throws {SyntaxError} when it cannot be parsed.
   */
  constructor(source: string, name = "the chat template") {
    this.#name = name;
    try {
      this.#tree = prepare(parse(tokenize(source, { trim_blocks: true, lstrip_blocks: true })) as unknown as Node);
    } catch (error) {
      throw new SyntaxError(`Cannot parse ${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  /**
   * Renders to text of which it is known who wrote it: parts that come from `variables` are `literal`.
   *
   * @throws {TypeError} when the template refuses its input, with the template's own words.
   * @throws {SyntaxError} when it uses what is not known here.
   */
  render(input: TemplateInput): TextPart[] {
    const { continueFinalMessage = false } = input;
    const variables = continueFinalMessage ? { ...input.variables, messages: tagged(input.variables.messages) } : input.variables;
    const marker = new Marker(strings(variables));
    const environment = new Environment();
    const variablesByName: Record<string, unknown> = {
      ...{ true: true, false: false, none: null, True: true, False: false, None: null },
      range,
      strftime_now: (format: string) => strftime(input.date, format),
      raise_exception: (message: string) => {
        throw new Refusal(marker.plain(String(message)));
      },
      ...input.trusted,
      ...(marked(variables, marker) as object),
    };
    for (const [name, value] of Object.entries(variablesByName)) environment.setVariable(name, toValue(value));
    let rendered: string;
    try {
      rendered = String(new TemplateInterpreter(environment, marker).evaluate(this.#tree as never, environment).value);
    } catch (error) {
      if (error instanceof Refusal) throw new TypeError(`${capitalized(this.#name)} refuses its input: ${error.message}`);
      throw new SyntaxError(`Cannot render ${this.#name}: ${(error as Error).message}`, { cause: error });
    }
    const parts = marker.parts(rendered);
    return continueFinalMessage ? upToTag(parts, this.#name) : parts;
  }
}

/** `raise_exception` of a template. */
class Refusal extends Error {}

function capitalized(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}

function range(start: number, stop?: number, step = 1): number[] {
  const [first, end] = stop === undefined ? [0, start] : [start, stop];
  return Array.from({ length: Math.max(0, Math.ceil((end - first) / step)) }, (_, i) => first + i * step);
}

/** All strings in a value. */
function* strings(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  else if (typeof value === "object" && value !== null) {
    if (!Array.isArray(value)) yield* Object.keys(value);
    for (const item of Object.values(value)) yield* strings(item);
  }
}

/** The value with every string marked. Keys stay: templates look for them; they are marked when they are written. */
function marked(value: unknown, marker: Marker): unknown {
  if (typeof value === "string") return marker.mark(value);
  if (Array.isArray(value)) return value.map((item) => marked(item, marker));
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, marked(item, marker)]));
  return value;
}

/** Messages with the tag at the end of the last one's content. */
function tagged(messages: unknown): unknown {
  const last = Array.isArray(messages) ? messages.at(-1) : undefined, content: unknown = last?.content;
  const part = Array.isArray(content) ? content.at(-1) : undefined;
  if (typeof content !== "string" && typeof part?.text !== "string") throw new TypeError("Cannot continue the final message: it has no text as its content");
  const end = typeof content === "string" ? content + endTag : [...(content as unknown[]).slice(0, -1), { ...part, text: part.text + endTag }];
  return [...(messages as unknown[]).slice(0, -1), { ...last, content: end }];
}

function upToTag(parts: readonly TextPart[], name: string): TextPart[] {
  const tag = endTag.trimEnd();
  for (let i = parts.length - 1; i >= 0; i--) {
    const { text, literal } = parts[i], at = literal ? text.lastIndexOf(tag) : -1;
    if (at < 0) continue;
    const keepsSpace = text.startsWith(endTag, at), before = text.slice(0, at);
    return [...parts.slice(0, i), { text: keepsSpace ? before : before.trimEnd(), literal }];
  }
  throw new TypeError(`Cannot continue the final message: ${name} does not write its content`);
}
