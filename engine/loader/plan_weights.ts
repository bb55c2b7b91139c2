/**
 * Which format each tensor of a checkpoint has in memory.
 *
 * @module
 */
import { nativeFormat } from "../conversion.ts";
import { type Format, type FourBitCode, type FourBitFormat, isFourBit, type StorageType, storageTypes } from "../formats.ts";
import type { Program } from "../program.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { isStorageType } from "./tensor_store.ts";

/**
 * Quantization of linears to 4 bits as bitsandbytes does it while Transformers loads: of their weights in the number type of the model, a matrix whose rows are
 * no whole blocks stays as it is.
 */
export interface FourBitQuantization {
  readonly code: FourBitCode;
  /** Whether absmax is quantized as well. */
  readonly doubleQuant: boolean;
  /** Modules that stay: those whose name begins or ends with one of these. Default: the heads. Embeddings and norms always stay. */
  readonly skipModules?: readonly string[];
}

/** What the user may choose. */
export interface PlanOptions {
  /** Number type of unquantized weights. One that holds the stored values exactly leaves them as they are. Default `auto`: as stored. */
  readonly dtype?: "auto" | "float32" | "bfloat16" | "float16";
  /** Format that matrices are quantized to while they are loaded, where their rows are whole blocks; or what happens to linears. */
  readonly quantization?: Format | FourBitQuantization;
}

/** A checkpoint tensor that a program needs. */
export interface ProgramTensor {
  /** Name in the checkpoint. */
  readonly name: string;
  readonly isVector: boolean;
  /** 1 for a vector. */
  readonly rows: number;
  readonly cols: number;
}

/** What each stored number type becomes under a `dtype`: itself where the wider type holds its values exactly. */
const floats: Record<"float32" | "bfloat16" | "float16", Partial<Record<StorageType, Format>>> = {
  float32: { f32: "f32", f16: "f16", bf16: "bf16" },
  bfloat16: { f32: "bf16", f16: "bf16", bf16: "bf16" },
  float16: { f32: "f16", f16: "f16", bf16: "f16" },
};

/** Every tensor that a program names, once, in the order of its weights. */
export function programTensors(program: Program): ProgramTensor[] {
  const tensors = new Map<string, ProgramTensor>();
  for (const { rows: weightRows, cols, parts } of program.weights) {
    for (const { tensor: name, rows } of parts) {
      // A vector's parts lie side by side in its one row, and count values; those of a matrix lie one under the other, and count rows.
      const isVector = weightRows === 1 && !(parts.length === 1 && rows === 1);
      tensors.set(name, isVector ? { name, isVector, rows: 1, cols: rows } : { name, isVector, rows, cols });
    }
  }
  return [...tensors.values()];
}

/**
 * Chooses the format of every tensor that a program names. Vectors (norms and biases) become f32.
 *
 * @param formats Formats that the backend multiplies with.
 * @returns Formats by tensor, as {@link CompileOptions.formats} takes them.
 * @throws {TypeError} when a tensor is missing or has another shape or a type that is no weight.
 * @throws {RangeError} when the backend does not have the quantization that was asked for.
 */
export function planWeights(program: Program, checkpoint: Checkpoint, formats: ReadonlySet<Format>, options: PlanOptions = {}): Map<string, Format> {
  const { quantization } = options;
  const wanted = typeof quantization === "object" ? quantization.code : quantization;
  if (wanted !== undefined && !formats.has(wanted)) {
    throw new RangeError(`Cannot quantize to ${wanted}: the device multiplies with ${[...formats].join(", ")}`);
  }
  return new Map(
    programTensors(program).map((tensor) => {
      const from = checkTensor(tensor, checkpoint);
      return [tensor.name, tensor.isVector ? "f32" : matrixFormat(from, tensor, formats, options)];
    }),
  );
}

function checkTensor({ name, isVector, rows, cols }: ProgramTensor, checkpoint: Checkpoint): StorageType {
  const shape = isVector ? [cols] : [rows, cols], stored = checkpoint.tensors.get(name);
  const fail = (problem: string) => new TypeError(`Cannot load ${name}: ${problem}`);
  if (stored === undefined) {
    const hint = name === "lm_head.weight" ? ", and tie_word_embeddings is false" : "";
    throw fail(`${checkpoint.name} does not have it${hint}`);
  }
  if (stored.shape.join() !== shape.join()) throw fail(`expected [${shape.join(", ")}], got [${stored.shape.join(", ")}]`);
  if (!isStorageType(stored.storageType)) throw fail(`${stored.storageType} is no number type of weights`);
  return stored.storageType;
}

function matrixFormat(from: StorageType, { name, cols }: ProgramTensor, formats: ReadonlySet<Format>, { dtype = "auto", quantization }: PlanOptions): Format {
  const plain: StorageType = dtype === "auto" ? from : floats[dtype][from] ?? from;
  if (typeof quantization === "object") {
    const format = fourBitFormat(quantization.code, dtype === "float32" ? "f32" : plain);
    if (isLinear(name, quantization) && !isFourBit(from) && cols % storageTypes[format][0] === 0) return format;
  } else if (quantization !== undefined && cols % storageTypes[quantization][0] === 0) return quantization;
  return nativeFormat(plain, formats);
}

/** What weights of a number type become: their values are rounded to it again. */
function fourBitFormat(code: FourBitCode, type: StorageType): FourBitFormat {
  return type === "bf16" || type === "f16" ? `${code}_${type}` : code;
}

/** Whether a matrix is the weight of a linear that is quantized. */
function isLinear(tensor: string, { skipModules }: FourBitQuantization): boolean {
  const module = tensor.replace(/\.weight$/, "");
  if (skipModules === undefined) return module.startsWith("model.layers.");
  return module !== "model.embed_tokens" && !skipModules.some((skipped) => module.startsWith(skipped) || module.endsWith(skipped));
}
