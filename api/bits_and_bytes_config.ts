/**
 * `BitsAndBytesConfig`: weights are quantized to 4 bits while they are loaded, as bitsandbytes does it.
 *
 * @module
 */
import type { FourBitCode } from "../engine/formats.ts";
import type { PlanOptions } from "../engine/loader/plan_weights.ts";

/** Options of {@link BitsAndBytesConfig}: those of Transformers in camelCase. */
export interface BitsAndBytesOptions {
  /** Quantize linears to 4 bits. Default false, with which the configuration cannot be used. */
  readonly loadIn4bit?: boolean;
  /** LLM.int8, which is not supported: must be false. */
  readonly loadIn8bit?: boolean;
  /** Which 16 numbers the codes stand for. Default `fp4`. */
  readonly bnb4bitQuantType?: FourBitCode;
  /** Quantize the largest value of each block of 64 as well, to 8 bits. Default false. */
  readonly bnb4bitUseDoubleQuant?: boolean;
  /** Whatever is asked for, arithmetic is float32: at least as exact. */
  readonly bnb4bitComputeDtype?: "float32" | "bfloat16" | "float16";
  /** Of no effect: how codes are held in memory is the device's matter. */
  readonly bnb4bitQuantStorage?: "uint8" | "float32" | "bfloat16" | "float16";
  /** Names with which those of modules begin or end that stay as they are, `lm_head` or `model.layers.0.` for example. Default: the heads. */
  readonly llmInt8SkipModules?: readonly string[] | null;
}

const types: Readonly<Record<keyof BitsAndBytesOptions, (value: unknown) => string | false>> = {
  loadIn4bit: isBoolean,
  loadIn8bit: (value) => value !== false && "must be false: LLM.int8 is not supported",
  bnb4bitQuantType: oneOf("nf4", "fp4"),
  bnb4bitUseDoubleQuant: isBoolean,
  bnb4bitComputeDtype: oneOf("float32", "bfloat16", "float16"),
  bnb4bitQuantStorage: oneOf("uint8", "float32", "bfloat16", "float16"),
  llmInt8SkipModules: (value) =>
    value !== null && !(Array.isArray(value) && value.every((name) => typeof name === "string" && name !== "")) && "must be a list of names",
};

/**
 * How bitsandbytes quantizes a model while it is loaded, for the load option `quantization`. Linears become what Transformers makes of them, byte for byte;
 * embeddings, heads and norms stay.
 *
 * @example
 * ```ts
 * import { AutoModelForCausalLM, BitsAndBytesConfig } from "@smolder/smolder";
 * const quantization = new BitsAndBytesConfig({ loadIn4bit: true, bnb4bitQuantType: "nf4", bnb4bitUseDoubleQuant: true });
 * await using model = await AutoModelForCausalLM.fromPretrained("embedded", { quantization });
 * ```
 */
export class BitsAndBytesConfig {
  /** See {@link BitsAndBytesOptions.loadIn4bit}. */
  readonly loadIn4bit: boolean;
  /** See {@link BitsAndBytesOptions.loadIn8bit}. */
  readonly loadIn8bit = false;
  /** See {@link BitsAndBytesOptions.bnb4bitQuantType}. */
  readonly bnb4bitQuantType: FourBitCode;
  /** See {@link BitsAndBytesOptions.bnb4bitUseDoubleQuant}. */
  readonly bnb4bitUseDoubleQuant: boolean;
  /** See {@link BitsAndBytesOptions.bnb4bitComputeDtype}. */
  readonly bnb4bitComputeDtype: NonNullable<BitsAndBytesOptions["bnb4bitComputeDtype"]>;
  /** See {@link BitsAndBytesOptions.bnb4bitQuantStorage}. */
  readonly bnb4bitQuantStorage: NonNullable<BitsAndBytesOptions["bnb4bitQuantStorage"]>;
  /** See {@link BitsAndBytesOptions.llmInt8SkipModules}. */
  readonly llmInt8SkipModules: readonly string[] | null;

  /**
   * Checks values and fills in the defaults.
   *
   * @throws {TypeError} when an option is unknown or of the wrong type; the message names it.
   */
  constructor(options: BitsAndBytesOptions = {}) {
    for (const [name, value] of Object.entries(options)) {
      if (!Object.hasOwn(types, name)) throw new TypeError(`Unknown option ${name} of BitsAndBytesConfig, choose from ${Object.keys(types).join(", ")}`);
      const problem = value !== undefined && types[name as keyof BitsAndBytesOptions](value);
      if (problem) throw new TypeError(`Option ${name} of BitsAndBytesConfig ${problem}, got ${typeof value === "string" ? JSON.stringify(value) : value}`);
    }
    this.loadIn4bit = options.loadIn4bit ?? false;
    this.bnb4bitQuantType = options.bnb4bitQuantType ?? "fp4";
    this.bnb4bitUseDoubleQuant = options.bnb4bitUseDoubleQuant ?? false;
    this.bnb4bitComputeDtype = options.bnb4bitComputeDtype ?? "float32";
    this.bnb4bitQuantStorage = options.bnb4bitQuantStorage ?? "uint8";
    this.llmInt8SkipModules = options.llmInt8SkipModules ?? null;
  }
}

/** Values of the load option `quantization`. */
export type QuantizationOption = "q8_0" | "q4_0" | FourBitCode | BitsAndBytesConfig;

/**
 * What the loader is asked for.
 *
 * @throws {TypeError} when a configuration asks for nothing.
 */
export function quantizationOf(option: QuantizationOption | undefined): PlanOptions["quantization"] {
  if (option === "nf4" || option === "fp4") return { code: option, doubleQuant: false };
  if (!(option instanceof BitsAndBytesConfig)) return option;
  if (!option.loadIn4bit) throw new TypeError("Load option quantization: a BitsAndBytesConfig must have loadIn4bit: true");
  return { code: option.bnb4bitQuantType, doubleQuant: option.bnb4bitUseDoubleQuant, skipModules: option.llmInt8SkipModules ?? undefined };
}

function isBoolean(value: unknown): string | false {
  return typeof value !== "boolean" && "must be true or false";
}

function oneOf(...allowed: readonly string[]): (value: unknown) => string | false {
  return (value) => !(typeof value === "string" && allowed.includes(value)) && `must be one of ${allowed.join(", ")}`;
}
