/**
 * From the name of a model to weights on a device.
 *
 * @module
 */
import { type Backend, type CacheType, type CompileOptions, DeviceError, type Executable } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { Format } from "../engine/formats.ts";
import { GenerationConfig } from "../engine/generation_config.ts";
import type { Host } from "../engine/host.ts";
import { type Checkpoint, openCheckpoint } from "../engine/loader/checkpoint.ts";
import { type LoadProgress, loadWeights, readWeights } from "../engine/loader/load_weights.ts";
import { planWeights } from "../engine/loader/plan_weights.ts";
import { resolveSource } from "../engine/loader/source.ts";
import type { TokenizerFiles } from "../engine/loader/tokenizer_files.ts";
import type { Program } from "../engine/program.ts";
import { RopeTable } from "../engine/rope.ts";
import type { SchedulerOptions } from "../engine/scheduler.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { checkSignal, inWords, requireOptions } from "./arguments.ts";
import { BitsAndBytesConfig, quantizationOf, type QuantizationOption } from "./bits_and_bytes_config.ts";
import { cacheBytesPerToken } from "./cache_size.ts";
import { chooseCompileOptions } from "./compile_options.ts";
import { type DeviceName, onDevice } from "./device.ts";

export type { LoadProgress };

/** Options of `fromPretrained` of every model class. */
export interface LoadOptions {
  /** Where the model runs. Default `auto`. */
  readonly device?: DeviceName;
  /** Number type of unquantized weights, `auto`: as stored. `float32` keeps the KV cache in float32, too. */
  readonly dtype?: "auto" | "float32" | "bfloat16" | "float16";
  /** Quantize while loading: all matrices as llama.cpp does (q8_0, q4_0), or linears as bitsandbytes does (nf4, fp4, or in detail). */
  readonly quantization?: QuantizationOption;
  /**
   * `float32`: exact arithmetic on dequantized weights. `auto`: `int8` where weights are quantized; where they have 16 bits or fewer a device may round
   * activations to 16 bits.
   */
  readonly activations?: "auto" | "float32" | "int8";
  /** Threads of the device wasm. Default, and at most: as many as the machine has. */
  readonly threads?: number;
  /** Branch, tag or commit of a hub id. */
  readonly revision?: string;
  /** Access token of the hub. */
  readonly token?: string;
  /** Folder of downloaded models. */
  readonly cacheDir?: string;
  /** Never touch the network. */
  readonly localFilesOnly?: boolean;
  /** Called as weights are read. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Ends loading; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;

  /** Number type of the KV cache. Default `f16`, or `f32` with `dtype: "float32"`. */
  readonly cacheType?: CacheType;
  /** Bytes of the KV cache. */
  readonly cacheBytes?: number;
  /** Most tokens of a sequence, prompt and answer together. Default: the model's context, as far as the KV cache holds it. */
  readonly maxModelLen?: number;
  /** Tokens in a block of the KV cache. Default 16. */
  readonly blockSize?: number;
  /** Most sequences that are computed at once. Default 16, or {@link LoadOptions.maxNumBatchedTokens} if that is less. */
  readonly maxNumSeqs?: number;
  /** Most tokens of a step, at least as many as sequences. Default 512, or {@link LoadOptions.maxNumSeqs} if that is more. */
  readonly maxNumBatchedTokens?: number;
  /** Whether prompts that begin alike share their keys and values. Default true. */
  readonly enablePrefixCaching?: boolean;
  /** @ignore A device of one's own, in place of {@link LoadOptions.device}. */
  readonly backend?: Backend;
}

const knownOptions = new Set<keyof LoadOptions>([
  ...["device", "dtype", "quantization", "activations", "threads", "revision", "token", "cacheDir", "localFilesOnly", "onProgress", "signal"] as const,
  ...["cacheType", "cacheBytes", "maxModelLen", "blockSize", "maxNumSeqs", "maxNumBatchedTokens", "enablePrefixCaching", "backend"] as const,
]);

/** A program on a device, with what running it takes. */
export interface CompiledModel {
  readonly config: SmolLM3Config;
  readonly program: Program;
  readonly backend: Backend;
  readonly executable: Executable;
  readonly compileOptions: CompileOptions;
  readonly schedulerOptions: SchedulerOptions;
  readonly rope: RopeTable;
}

/** A model that is ready to run. */
export interface LoadedModel extends CompiledModel {
  /** What it was loaded from. */
  readonly name: string;
  /** Why it runs on this device, for people. */
  readonly deviceReason: string;
  /** Sampler, tokenizers and conversions. */
  readonly host: Host;
  /** `config.json`, or what a GGUF file says in its place. */
  readonly configJson: Readonly<Record<string, unknown>>;
  /** `generation_config.json`. */
  readonly generationConfig: GenerationConfig;
  readonly tokenizerFiles: TokenizerFiles;
}

/**
 * Loads a model.
 *
 * @param source A folder in Transformers format, a `.gguf` file, a hub id, or `embedded`.
 * @throws {TypeError} when an option is unknown or a file is not what it should be; the message names it.
 * @throws {DeviceError} when the device is missing or too small.
 */
export async function loadModel(source: string, options: LoadOptions = {}): Promise<LoadedModel> {
  checkLoadOptions(options);
  const { signal, dtype, onProgress } = options;
  const quantization = quantizationOf(options.quantization), doubleQuant = typeof quantization === "object" && quantization.doubleQuant;
  signal?.throwIfAborted();
  const opening = resolveSource(source, { revision: options.revision, cacheDir: options.cacheDir }).then(openCheckpoint);
  let executable: Executable | undefined;
  try {
    const loading = import("../wasm/host.ts").then(({ loadHost }) => loadHost());
    loading.catch(() => {}); // noticed below
    const checkpoint = await opening, { config } = checkpoint, program = smolLM3(config);
    const { result: { weights, compiled }, reason } = await onDevice(options.device ?? "auto", options.backend, async (backend) => {
      const plan = planWeights(program, checkpoint, backend.formats, { dtype, quantization });
      signal?.throwIfAborted();
      const weights = readWeights(program, checkpoint, plan);
      try {
        return { weights, compiled: await compileModel(backend, config, program, plan, options) };
      } catch (error) {
        await weights.settle();
        throw error;
      }
    });
    executable = compiled.executable;
    const host = await loading;
    await loadWeights(weights, host.codec, executable, { onProgress, signal, doubleQuant });
    signal?.throwIfAborted();
    const { name, configJson, tokenizer: tokenizerFiles } = checkpoint, generationConfig = readGenerationConfig(checkpoint);
    return { ...compiled, name, deviceReason: reason, host, configJson, tokenizerFiles, generationConfig };
  } catch (error) {
    executable?.close();
    throw error;
  } finally {
    opening.then((checkpoint) => checkpoint.close(), () => {});
  }
}

/**
 * Compiles a model's program; its weights are still to be written.
 *
 * @param formats Format of each tensor.
 */
export async function compileModel(
  backend: Backend,
  config: SmolLM3Config,
  program: Program,
  formats: ReadonlyMap<string, Format>,
  options: LoadOptions,
): Promise<CompiledModel> {
  let { cacheBytes } = options;
  while (true) {
    const compileOptions = chooseCompileOptions(config, program, formats, { ...options, cacheBytes });
    const { blocks, blockSize, maxSequences, maxRows, maxContext, cacheType } = compileOptions;
    try {
      const executable = await backend.compile(program, compileOptions);
      const schedulerOptions = {
        blocks,
        blockSize,
        maxNumSeqs: maxSequences,
        maxNumBatchedTokens: maxRows,
        maxContext,
        enablePrefixCaching: options.enablePrefixCaching ?? true,
      };
      return { config, program, backend, executable, compileOptions, schedulerOptions, rope: new RopeTable(config) };
    } catch (error) {
      // A size of our own choosing gives way where the device is small.
      const isOurs = options.cacheBytes === undefined && options.maxModelLen === undefined;
      if (!(error instanceof DeviceError) || !isOurs || blocks * blockSize < 2 * leastTokens) throw error;
      cacheBytes = Math.floor(blocks / 2) * blockSize * cacheBytesPerToken(program, cacheType);
    }
  }
}

/** A KV cache of default size is not made smaller than this. */
const leastTokens = 1024;

/** @throws {TypeError} when a value has the wrong type; the message names the model. */
function readGenerationConfig({ name, generationConfig }: Checkpoint): GenerationConfig {
  try {
    return GenerationConfig.fromJson(generationConfig);
  } catch (error) {
    throw error instanceof TypeError ? new TypeError(`Cannot use the generation config of ${name}: ${error.message}`) : error;
  }
}

function checkLoadOptions(options: LoadOptions): void {
  requireOptions("a model", options);
  for (const name of Object.keys(options)) {
    if (!knownOptions.has(name as keyof LoadOptions)) throw new TypeError(`Unknown load option ${name}, choose from ${[...knownOptions].join(", ")}`);
  }
  const oneOf = (name: keyof LoadOptions, allowed: readonly string[], otherwise = "") => {
    const value = options[name];
    if (value !== undefined && !(typeof value === "string" && allowed.includes(value))) {
      throw new TypeError(`Load option ${name} must be one of ${allowed.join(", ")}${otherwise}, got ${typeof value === "string" ? value : inWords(value)}`);
    }
  };
  oneOf("device", ["auto", "webgpu", "wasm"]);
  oneOf("dtype", ["auto", "float32", "bfloat16", "float16"]);
  if (!(options.quantization instanceof BitsAndBytesConfig)) oneOf("quantization", ["q8_0", "q4_0", "nf4", "fp4"], " or a BitsAndBytesConfig");
  oneOf("activations", ["auto", "float32", "int8"]);
  oneOf("cacheType", ["f32", "f16", "bf16"]);
  for (const name of ["threads", "blockSize", "maxNumSeqs", "maxNumBatchedTokens", "maxModelLen", "cacheBytes"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1)) {
      throw new (typeof value === "number" ? RangeError : TypeError)(`Load option ${name} must be a whole number of at least 1, got ${inWords(value)}`);
    }
  }
  const typeOf = (name: keyof LoadOptions, type: string, expected: string) => {
    const value = options[name];
    if (value !== undefined && typeof value !== type) throw new TypeError(`Load option ${name} must be ${expected}, got ${inWords(value)}`);
  };
  for (const name of ["revision", "token", "cacheDir"] as const) typeOf(name, "string", "a text");
  for (const name of ["localFilesOnly", "enablePrefixCaching"] as const) typeOf(name, "boolean", "true or false");
  typeOf("onProgress", "function", "a function");
  checkSignal(options.signal);
}
