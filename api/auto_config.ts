/**
 * `AutoConfig` and `SmolLM3Config`: the configuration of a model without its weights.
 *
 * @module
 */
import { parseConfig, type SmolLM3Config as Config } from "../engine/config.ts";
import { requireOptions } from "./arguments.ts";
import type { LoadOptions } from "./load_model.ts";

/** Where a configuration is read from. */
export type ConfigOptions = Pick<LoadOptions, "revision" | "token" | "cacheDir" | "localFilesOnly">;

/** Options of {@link SmolLM3Config}: keys of `config.json` in camelCase. */
export type SmolLM3ConfigOptions = Readonly<Record<string, unknown>>;

/** The sizes of SmolLM3-3B, which are the class's defaults. */
const defaultSizes = { vocabSize: 128256, hiddenSize: 2048, intermediateSize: 11008, numHiddenLayers: 36, numAttentionHeads: 16 };

/** Configuration of a SmolLM3 model, checked, with every value present. */
export class SmolLM3Config {
  /**
   * Checks values and fills in the defaults.
   *
   * @example
   * ```ts
   * import { SmolLM3Config } from "@smolder/smolder";
   * const config = new SmolLM3Config({ numHiddenLayers: 2, slidingWindow: 128, useSlidingWindow: true });
   * ```
   * @throws {TypeError | RangeError} when a value is of the wrong type or out of range; the message names the key.
   */
  constructor(options: SmolLM3ConfigOptions = {}) {
    Object.assign(this, parseConfig(toSnakeCase({ modelType: "smollm3", ...defaultSizes, ...options }), "SmolLM3Config"));
  }

  /** Reads the configuration of a model: see {@link AutoConfig.fromPretrained}. */
  static fromPretrained(source: string, options?: ConfigOptions): Promise<Config> {
    return AutoConfig.fromPretrained(source, options);
  }
}
/** The values are properties of the class. */
export interface SmolLM3Config extends Config {}

/** Reads configurations. */
export class AutoConfig {
  /**
   * Reads the configuration of a model; of a folder nothing but its `config.json`.
   *
   * @param source A folder in Transformers format, a `.gguf` file, a hub id, or `embedded`.
   * @throws {Deno.errors.NotFound} when there is no such model.
   * @throws {SyntaxError | TypeError | RangeError} when its files are not what they should be.
   */
  static async fromPretrained(source: string, options: ConfigOptions = {}): Promise<Config> {
    requireOptions("AutoConfig", options, ["revision", "token", "cacheDir", "localFilesOnly"]);
    const { resolveSource } = await import("../engine/loader/source.ts");
    const found = await resolveSource(source, { revision: options.revision, cacheDir: options.cacheDir });
    if (found.kind === "transformers") {
      const { readConfigJson } = await import("../engine/loader/transformers_checkpoint.ts");
      return parseConfig(await readConfigJson(found.files), found.files.path("config.json"));
    }
    const { openCheckpoint } = await import("../engine/loader/checkpoint.ts");
    const checkpoint = await openCheckpoint(found);
    checkpoint.close();
    return checkpoint.config;
  }
}

/** Keys in snake_case, in nested objects too. */
function toSnakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toSnakeCase);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), toSnakeCase(inner)]));
}
