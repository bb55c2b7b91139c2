/**
 * Checkpoints whose linears bitsandbytes packed into 4 bits, as Transformers saves them: beside `X.weight` lie its absmax, its code and a state in JSON.
 * Source: `QuantState.as_dict` of bitsandbytes' functional.py.
 *
 * @module
 */
import type { FourBitCode, StorageType } from "../formats.ts";
import { describe, Fields, isJsonObject, type JsonObject, parseJsonObject } from "../json_fields.ts";
import { fourBitCodes } from "./four_bit_codes.ts";
import { type FourBitTensor, fourBitTensor, type NestedState } from "./four_bit_rows.ts";
import type { OtherType, StoredTensor } from "./tensor_store.ts";

/** What `quantization_config` says of a checkpoint that {@link unpackFourBit} takes. */
export interface FourBitConfig {
  /** Code of every packed tensor; null: each says it itself. */
  readonly code: FourBitCode | null;
}

const codes: readonly FourBitCode[] = ["nf4", "fp4"];
const types = new Map<string, FourBitTensor["type"]>([["float32", "f32"], ["bfloat16", "bf16"], ["float16", "f16"]]);
const blockSizes = [32, 64, 128, 256, 512, 1024, 2048, 4096];
const stateSuffix = ".quant_state.bitsandbytes__", maxStateBytes = 1 << 16;
const companions = ["absmax", "quant_map", "nested_absmax", "nested_quant_map"] as const;

/**
 * How a checkpoint's weights are packed.
 *
 * @param json Its `config.json`.
 * @returns Null where they are not.
 * @throws {TypeError} when they are packed by something else, such as GPTQ, AWQ or LLM.int8.
 */
export function readFourBitConfig({ quantization_config: quantization }: JsonObject, file: string): FourBitConfig | null {
  if (quantization === undefined || quantization === null) return null;
  const refuse = (what: string) =>
    new TypeError(
      `Cannot load ${file}: weights packed as quantization_config${what} says are not supported; use the model as safetensors in float32, float16 or ` +
        "bfloat16, which the load option quantization can quantize, or packed by bitsandbytes into 4 bits (load_in_4bit), or as a .gguf file",
    );
  if (!isJsonObject(quantization)) throw refuse("");
  const fields = new Fields(quantization, file, "quantization_config.");
  const isFourBit = fields.boolean("load_in_4bit", false), is8bit = fields.boolean("load_in_8bit", false);
  const method = fields.string("quant_method", isFourBit || is8bit ? "bitsandbytes" : "");
  if (method !== "bitsandbytes") throw refuse(` (quant_method ${describe(quantization.quant_method)})`);
  if (!isFourBit) throw refuse(is8bit ? " (load_in_8bit: LLM.int8)" : " (bitsandbytes without load_in_4bit)");
  if (is8bit) throw fields.error("load_in_4bit", "and load_in_8bit must not both be true");
  if (!fields.has("bnb_4bit_quant_type")) return { code: null };
  const code = codes.find((code) => code === fields.string("bnb_4bit_quant_type"));
  if (code === undefined) throw fields.error("bnb_4bit_quant_type", `must be nf4 or fp4, got ${describe(quantization.bnb_4bit_quant_type)}`);
  return { code };
}

/**
 * Puts each packed weight in the place of the tensors that bitsandbytes left of it.
 *
 * @returns The tensors by name; what is not packed as it is.
 * @throws {TypeError} when one of a packed weight's tensors is missing, has another type or shape, or contradicts the others; the message names it.
 */
export function unpackFourBit(tensors: ReadonlyMap<string, StoredTensor>, config: FourBitConfig): Map<string, StoredTensor> {
  const left = new Map(tensors), unpacked = new Map<string, StoredTensor>();
  for (const [stateName, state] of tensors) {
    const at = stateName.indexOf(stateSuffix);
    if (at < 0) continue;
    const name = stateName.slice(0, at), code = stateName.slice(at + stateSuffix.length);
    if (unpacked.has(name)) throw new TypeError(`Cannot load ${name}: it has two states, the second is ${stateName}`);
    unpacked.set(name, unpackOne(tensors, name, readState(stateName, state, code, config)));
    for (const gone of [stateName, name, ...companions.map((companion) => `${name}.${companion}`)]) left.delete(gone);
  }
  for (const name of left.keys()) {
    const packed = /^(.*\.weight)\.(?:absmax|quant_map|nested_absmax|nested_quant_map)$/.exec(name)?.[1];
    if (packed !== undefined) {
      throw new TypeError(`Cannot load ${packed}: there is ${name}, but neither ${codes.map((code) => packed + stateSuffix + code).join(" nor ")}`);
    }
  }
  return new Map([...left, ...unpacked]);
}

/** What the JSON of a packed weight says. */
interface State extends Pick<FourBitTensor, "code" | "type" | "shape" | "blockSize"> {
  readonly nested: Pick<NestedState, "blockSize" | "offset"> | null;
}

function readState(name: string, { file, offsetBytes, byteLength, storageType, shape }: StoredTensor, nameCode: string, config: FourBitConfig): State {
  if (storageType !== "u8" || byteLength > maxStateBytes) {
    throw new TypeError(`Cannot load ${name}: a state is u8 of JSON, got ${storageType} [${shape.join(", ")}]`);
  }
  const bytes = new Uint8Array(byteLength);
  file.read(offsetBytes, bytes);
  const label = `${name} of ${file.name}`, json = parseJsonObject(new TextDecoder().decode(bytes), label), fields = new Fields(json, label);
  const typeName = fields.string("dtype"), type = types.get(typeName), code = codes.find((code) => code === fields.string("quant_type"));
  if (code === undefined || code !== nameCode) {
    throw fields.error("quant_type", `must be ${nameCode} as its name says, one of ${codes.join(", ")}, got ${describe(json.quant_type)}`);
  }
  if (config.code !== null && code !== config.code) {
    throw fields.error("quant_type", `must be ${config.code} as bnb_4bit_quant_type of config.json says, got ${code}`);
  }
  if (type === undefined) throw fields.error("dtype", `must be one of ${[...types.keys()].join(", ")}, got ${describe(typeName)}`);
  const sizes = fields.numbers("shape"), blockSize = fields.integer("blocksize");
  if (sizes.length !== 2 || !sizes.every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw fields.error("shape", `must be two sizes, got ${JSON.stringify(sizes)}`);
  }
  if (!blockSizes.includes(blockSize)) throw fields.error("blocksize", `must be one of ${blockSizes.join(", ")}, got ${blockSize}`);
  const state = { code, type, shape: [sizes[0], sizes[1]] as const, blockSize };
  if (!fields.has("nested_blocksize")) return { ...state, nested: null };
  if (fields.string("nested_dtype") !== "float32") throw fields.error("nested_dtype", `must be float32, got ${describe(json.nested_dtype)}`);
  return { ...state, nested: { blockSize: fields.integer("nested_blocksize", undefined, { min: 1 }), offset: fields.number("nested_offset") } };
}

function unpackOne(tensors: ReadonlyMap<string, StoredTensor>, name: string, state: State): StoredTensor {
  const { code, shape, blockSize } = state, values = shape[0] * shape[1], blocks = Math.ceil(values / blockSize);
  const companion = (suffix: string, type: StorageType | OtherType, length: number) => {
    const part = `${name}.${suffix}`, tensor = tensors.get(part);
    if (tensor === undefined) throw new TypeError(`Cannot load ${name}: ${part} is missing`);
    if (tensor.storageType !== type || tensor.shape.reduce((product, size) => product * size, 1) !== length) {
      throw new TypeError(`Cannot load ${name}: ${part} must be ${type} [${length}], got ${tensor.storageType} [${tensor.shape.join(", ")}]`);
    }
    return tensor;
  };
  const packed = tensors.get(name);
  if (packed === undefined) throw new TypeError(`Cannot load ${name}: its state is there, itself it is missing`);
  // bnb_4bit_quant_storage: the same bytes may lie under another type.
  if (packed.byteLength !== Math.ceil(values / 2)) {
    throw new TypeError(`Cannot load ${name}: [${shape.join(", ")}] in 4 bits are ${Math.ceil(values / 2)} bytes, got ${packed.byteLength}`);
  }
  checkCode(name, companion("quant_map", "f32", 16), code);
  const absmax = companion("absmax", state.nested ? "u8" : "f32", blocks);
  const nested = state.nested && {
    ...state.nested,
    absmax: companion("nested_absmax", "f32", Math.ceil(blocks / state.nested.blockSize)),
    map: companion("nested_quant_map", "f32", 256),
  };
  return fourBitTensor({ ...state, packed, absmax, nested });
}

/** bitsandbytes has its codes built in, and writes them down as well. */
function checkCode(name: string, { file, offsetBytes }: StoredTensor, code: FourBitCode): void {
  const map = new Float32Array(16);
  file.read(offsetBytes, new Uint8Array(map.buffer));
  const wrong = map.findIndex((value, i) => value !== fourBitCodes[code][i]);
  if (wrong >= 0) {
    throw new TypeError(
      `Cannot load ${name}: ${name}.quant_map is not that of ${code}: number ${wrong} is ${map[wrong]} in place of ${fourBitCodes[code][wrong]}`,
    );
  }
}
