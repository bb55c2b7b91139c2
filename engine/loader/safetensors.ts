/**
 * The safetensors container: 8 bytes of header length, a JSON header, then the tensors without gaps.
 *
 * Everything is checked before anything of a claimed size is allocated; rules and the limit are those of the reference library
 * (`SafeTensors::read_metadata`): offsets are contiguous, sizes follow from type and shape, nothing is left over.
 *
 * @module
 */
import { isJsonObject, type JsonObject } from "../json_fields.ts";
import type { StorageType } from "../formats.ts";
import type { ByteFile } from "./byte_file.ts";
import { type OtherType, type StoredTensor, tensorBytes } from "./tensor_store.ts";

/** Largest header, in bytes. */
const maxHeaderBytes = 100_000_000;

const dtypes = new Map<string, StorageType | OtherType>([
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
  ["F64", "f64"],
  ["F8_E4M3", "f8_e4m3"],
  ["F8_E5M2", "f8_e5m2"],
  ["BOOL", "bool"],
  ["U8", "u8"],
  ["I8", "i8"],
  ["U16", "u16"],
  ["I16", "i16"],
  ["U32", "u32"],
  ["I32", "i32"],
  ["U64", "u64"],
  ["I64", "i64"],
]);

/**
 * Reads the header of a safetensors file.
 *
 * @returns Its tensors by name, in the order of their bytes.
 * @throws {SyntaxError} when the header is not what a safetensors file has; the message names the file and the offset or tensor.
 * @throws {RangeError} when a length or an offset lies outside of the file.
 */
export function readSafetensors(file: ByteFile): Map<string, StoredTensor> {
  const fail = (problem: string, errorClass: ErrorConstructor = SyntaxError) => new errorClass(`Cannot read ${file.name}: ${problem}`);
  if (file.size < 8) throw fail(`${file.size} bytes are no safetensors file, which starts with 8 bytes of header length`);
  const prefix = new Uint8Array(8);
  file.read(0, prefix);
  const claimed = new DataView(prefix.buffer).getBigUint64(0, true);
  if (claimed > maxHeaderBytes) throw fail(`the header length at offset 0 is ${claimed}, more than ${maxHeaderBytes} bytes: no safetensors file`, RangeError);
  const headerBytes = Number(claimed), dataStart = 8 + headerBytes;
  if (dataStart > file.size) throw fail(`the header length at offset 0 is ${headerBytes}, but the file has ${file.size} bytes: it is cut off`, RangeError);

  const bytes = new Uint8Array(headerBytes);
  file.read(8, bytes);
  const entries: [string, StoredTensor][] = [];
  let pairs = 0;
  const header = parseHeader(bytes, fail);
  for (const [name, entry] of Object.entries(header)) {
    pairs += 1 + (isJsonObject(entry) ? Object.keys(entry).length : 0);
    if (name === "__metadata__") checkMetadata(entry, fail);
    else entries.push([name, parseTensor(name, entry, file, dataStart, fail)]);
  }
  // JSON.parse keeps the last of several equal keys; the checks above leave no keys deeper than these.
  if (countKeys(bytes) !== pairs) throw fail("the header at offset 8 has a name twice");

  entries.sort(([, a], [, b]) => a.offsetBytes - b.offsetBytes || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const [name, { offsetBytes, byteLength }] of entries) {
    if (offsetBytes < end) throw fail(`tensor ${name} at offset ${offsetBytes} overlaps the one before it, which ends at ${end}`);
    if (offsetBytes > end) throw fail(`${offsetBytes - end} bytes before tensor ${name} at offset ${offsetBytes} belong to no tensor`);
    end = offsetBytes + byteLength;
  }
  if (end > file.size) throw fail(`tensor ${entries.at(-1)?.[0]} ends at offset ${end}, but the file has ${file.size} bytes: it is cut off`, RangeError);
  if (end < file.size) throw fail(`${file.size - end} bytes at offset ${end} belong to no tensor`);
  return new Map(entries);
}

type Fail = (problem: string, errorClass?: ErrorConstructor) => Error;

function parseHeader(bytes: Uint8Array, fail: Fail): JsonObject {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw fail(`the header at offset 8 is not JSON: ${(error as Error).message}`);
  }
  if (!isJsonObject(header)) throw fail("the header at offset 8 is not a JSON object");
  return header;
}

/** Keys in the text of valid JSON: the colons outside of strings. */
function countKeys(json: Uint8Array): number {
  const quote = 0x22, backslash = 0x5c, colon = 0x3a;
  let keys = 0;
  for (let i = 0, inString = false; i < json.length; i++) {
    if (json[i] === quote) inString = !inString;
    else if (json[i] === backslash) i++;
    else if (json[i] === colon && !inString) keys++;
  }
  return keys;
}

function checkMetadata(metadata: unknown, fail: Fail): void {
  if (!isJsonObject(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    throw fail("__metadata__ in the header is not an object of strings");
  }
}

function parseTensor(name: string, entry: unknown, file: ByteFile, dataStart: number, fail: Fail): StoredTensor {
  if (!isJsonObject(entry)) throw fail(`tensor ${name} in the header is not an object`);
  const { dtype, shape, data_offsets: offsets, ...unknown } = entry;
  const unknownKey = Object.keys(unknown).at(0);
  if (unknownKey !== undefined) throw fail(`tensor ${name} has the unknown key ${unknownKey}`);
  const storageType = typeof dtype === "string" ? dtypes.get(dtype) : undefined;
  if (storageType === undefined) throw fail(`dtype of tensor ${name} must be one of ${[...dtypes.keys()].join(", ")}, got ${JSON.stringify(dtype)}`);
  if (!areCounts(shape)) throw fail(`shape of tensor ${name} must be a list of whole numbers`);
  if (!areCounts(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) throw fail(`data_offsets of tensor ${name} must be two whole numbers in order`);
  const byteLength = offsets[1] - offsets[0], expected = tensorBytes(storageType, shape);
  if (byteLength !== expected) {
    const needs = Number.isNaN(expected) ? "too many to count" : `${expected}`;
    throw fail(`data_offsets of tensor ${name} span ${byteLength} bytes, its ${dtype} [${shape.join(", ")}] needs ${needs}`);
  }
  return { storageType, shape, byteLength, file, offsetBytes: dataStart + offsets[0] };
}

function areCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((number) => Number.isSafeInteger(number) && number >= 0);
}
