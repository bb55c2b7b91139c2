/**
 * Chats as prompts: which template, and what it is given.
 *
 * @module
 */
import { ChatTemplate } from "../engine/chat_template.ts";
import type { TextPart } from "../engine/host.ts";
import { isJsonObject } from "../engine/json_fields.ts";
import { specialToken, type TokenizerFiles } from "../engine/loader/tokenizer_files.ts";

/** One message of a chat; fields beyond these go to the template as they are. */
export interface Message {
  /** Who says it: `system`, `user`, `assistant`, `tool`, or what else the template knows. */
  readonly role: string;
  /** Text, or a list of parts `{ type: "text", text }` where the template takes them. */
  readonly content?: unknown;
  /** Such as `tool_calls`. */
  readonly [field: string]: unknown;
}

/** Options of `AutoTokenizer.applyChatTemplate`. Any other name is a variable of the template, in snake_case there: `enableThinking` is `enable_thinking`. */
export interface ChatTemplateOptions {
  /** End with the beginning of an answer. */
  readonly addGenerationPrompt?: boolean;
  /** End within the last message, so that the model goes on with it. */
  readonly continueFinalMessage?: boolean;
  /** Functions that the model may call, as JSON schemas. */
  readonly tools?: readonly unknown[] | null;
  /** The day that templates write; default now. */
  readonly date?: Date | string;
  /** Jinja source, or the name of one of several templates, in place of the default one. */
  readonly chatTemplate?: string;
  /** A variable of the template. */
  readonly [templateVariable: string]: unknown;
}

/** Special tokens that templates may name. */
const tokenNames = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/** Renders chats with the templates of one tokenizer. */
export class ChatRenderer {
  readonly #files: TokenizerFiles;
  /** By source. */
  readonly #parsed = new Map<string, ChatTemplate>();

  constructor(files: TokenizerFiles) {
    this.#files = files;
  }

  /** @throws {TypeError} when there is no template, or options contradict each other. */
  render(messages: readonly Message[], options: ChatTemplateOptions): TextPart[] {
    const { addGenerationPrompt = false, continueFinalMessage = false, tools = null, date, chatTemplate, ...variables } = options;
    if (!Array.isArray(messages) || !messages.every(isJsonObject)) {
      throw new TypeError("Cannot apply a chat template: expected a list of messages { role, content }");
    }
    if (addGenerationPrompt && continueFinalMessage) throw new TypeError("Options addGenerationPrompt and continueFinalMessage exclude each other");
    const snakeCase = Object.entries(variables).map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]);
    const trusted: Record<string, unknown> = {};
    for (const name of tokenNames) {
      const token = specialToken(this.#files.config, name);
      if (token !== null) trusted[name] = token;
    }
    return this.#template(this.#source(chatTemplate, tools !== null)).render({
      variables: { documents: null, ...Object.fromEntries(snakeCase), messages: messages.map(withoutNulls), tools, add_generation_prompt: addGenerationPrompt },
      trusted,
      date: parseDate(date),
      continueFinalMessage,
    });
  }

  /** A template by name or source; the default one; with tools, that of the name `tool_use`. */
  #source(template: string | undefined, hasTools: boolean): string {
    const { config, chatTemplate } = this.#files;
    const named = Array.isArray(config.chat_template) ? config.chat_template.filter(isJsonObject) : [];
    const byName = (name: string) => named.find((entry) => entry.name === name)?.template;
    const source = template !== undefined ? byName(template) ?? template : (hasTools ? byName("tool_use") : undefined) ?? chatTemplate;
    if (typeof source !== "string") {
      throw new TypeError("Cannot apply a chat template: the model's files have none; give one as the option chatTemplate, or encode a prompt of your own");
    }
    return source;
  }

  #template(source: string): ChatTemplate {
    let template = this.#parsed.get(source);
    if (template === undefined) this.#parsed.set(source, template = new ChatTemplate(source));
    return template;
  }
}

/** As Transformers does: templates know what to do without a field, while null would be written as `None`. */
function withoutNulls(message: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null));
}

/** A day without a time is one of the local calendar, as `strftime_now` writes it. */
function parseDate(date: Date | string | undefined): Date {
  if (date === undefined) return new Date();
  const day = typeof date === "string" ? /^(\d{4})-(\d\d)-(\d\d)$/.exec(date) : null;
  const parsed = day === null ? new Date(date) : new Date(Number(day[1]), Number(day[2]) - 1, Number(day[3]));
  if (Number.isNaN(parsed.getTime())) throw new RangeError(`Option date must be a Date or a string such as 2025-07-10, got ${date}`);
  return parsed;
}
