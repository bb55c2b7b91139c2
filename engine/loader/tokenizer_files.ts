/**
 * What a model's files say about its tokenizer; no weights and no config.json needed.
 *
 * @module
 */
import type { TokenizerSpec } from "../host.ts";
import { isJsonObject, type JsonObject, parseJsonObject } from "../json_fields.ts";
import type { ModelSource } from "./source.ts";

/** Tokenizer and chat template of a model. */
export interface TokenizerFiles {
  /** `tokenizer_config.json`, empty when there is none; of a GGUF file what its metadata say, in the same spelling. */
  readonly config: JsonObject;
  /** Jinja source of the default chat template. */
  readonly chatTemplate: string | null;
  /**
   * The vocabulary; read when asked for.
   *
   * @throws {Deno.errors.NotFound} when the model has no tokenizer.
   */
  spec(): Promise<TokenizerSpec>;
}

/** Opens the tokenizer of a model. */
export async function openTokenizerFiles(source: ModelSource): Promise<TokenizerFiles> {
  if (source.kind === "gguf") return await (await import("./gguf_checkpoint.ts")).openGgufTokenizerFiles(source);
  const { files } = source;
  const [configText, template] = await Promise.all([files.readText("tokenizer_config.json"), files.readText("chat_template.jinja")]);
  const config = configText === null ? {} : parseJsonObject(configText, files.path("tokenizer_config.json"));
  return {
    config,
    chatTemplate: template ?? defaultTemplate(config.chat_template),
    async spec() {
      const text = await files.readText("tokenizer.json"), file = files.path("tokenizer.json");
      if (text === null) throw new Deno.errors.NotFound(`Cannot open ${file}: there is no such file; older tokenizer files are to be converted to it first`);
      return (await import("./tokenizer_json.ts")).parseTokenizerJson(text, file);
    },
  };
}

/** The template of a `tokenizer_config.json`: a string, or several with names. */
function defaultTemplate(template: unknown): string | null {
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return null;
  const named = template.find((entry) => isJsonObject(entry) && entry.name === "default");
  return isJsonObject(named) && typeof named.template === "string" ? named.template : null;
}

/** A special token of `tokenizer_config.json`: its text, or an object with it. */
export function specialToken(config: JsonObject, key: string): string | null {
  const token = config[key];
  if (typeof token === "string") return token;
  return isJsonObject(token) && typeof token.content === "string" ? token.content : null;
}
