/**
 * The GGUF container, versions 2 and 3: metadata, a list of tensors, then their bytes; one file, or several parts.
 *
 * Source: docs/gguf.md and gguf.cpp of ggml. Counts and lengths are compared with the bytes that are there before anything is allocated.
 *
 * @module
 */
import type { StorageType } from "../formats.ts";
import type { ByteFile } from "./byte_file.ts";
import type { FileStore } from "./file_store.ts";
import { GgufCursor, type GgufMetadata, type GgufValue } from "./gguf_metadata.ts";
import { splitPart } from "./source.ts";
import { type OtherType, type StoredTensor, tensorBytes } from "./tensor_store.ts";

/** A GGUF file with all its parts. Names of tensors and order of dimensions are its own, but for the outermost dimension coming first. */
export interface Gguf {
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly files: readonly ByteFile[];
}

const magic = 0x46554747; // "GGUF"
const maxDimensions = 4;
const defaultAlignment = 32;

/** Types by their number in the file (`enum ggml_type`). */
const types = new Map<number, StorageType | OtherType>([
  [0, "f32"],
  [1, "f16"],
  [2, "q4_0"],
  [3, "q4_1"],
  [6, "q5_0"],
  [7, "q5_1"],
  [8, "q8_0"],
  [10, "q2_k"],
  [11, "q3_k"],
  [12, "q4_k"],
  [13, "q5_k"],
  [14, "q6_k"],
  [16, "iq2_xxs"],
  [17, "iq2_xs"],
  [18, "iq3_xxs"],
  [19, "iq1_s"],
  [20, "iq4_nl"],
  [21, "iq3_s"],
  [22, "iq2_s"],
  [23, "iq4_xs"],
  [24, "i8"],
  [25, "i16"],
  [26, "i32"],
  [27, "i64"],
  [28, "f64"],
  [29, "iq1_m"],
  [30, "bf16"],
  [34, "tq1_0"],
  [35, "tq2_0"],
  [39, "mxfp4"],
  [40, "nvfp4"],
]);

/** One part of a model. */
export type GgufPart = Omit<Gguf, "files">;

/**
 * Reads the header of one file.
 *
 * @throws {SyntaxError} when it is not what a GGUF file has; the message names file, offset and field.
 * @throws {RangeError} when a count, a length or an offset is larger than the file.
 */
export function readGguf(file: ByteFile): GgufPart {
  const cursor = new GgufCursor(file);
  if (cursor.u32("the magic number") !== magic) throw cursor.error("the file is no GGUF file, whose first four bytes are GGUF", 0);
  const version = cursor.u32("the version");
  if (version !== 2 && version !== 3) {
    const isBigEndian = version !== 0 && (version & 0xffff) === 0;
    throw cursor.error(
      isBigEndian ? "the file is big-endian, which is not supported" : `version ${version} is not supported, 2 and 3 are`,
      4,
    );
  }
  // The shortest tensor takes 24 bytes, the shortest value 13.
  const tensorCount = cursor.u64("the number of tensors", (cursor.room - 8) / 24),
    valueCount = cursor.u64("the number of metadata values", (cursor.room - 8) / 13);
  const metadata = readMetadata(cursor, valueCount);
  return { version, metadata, tensors: readTensors(cursor, tensorCount, alignmentOf(metadata, file)) };
}

function readMetadata(cursor: GgufCursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const at = cursor.offset, key = cursor.string(`the key of metadata value ${i}`);
    if (metadata.has(key)) throw cursor.error(`metadata key ${key} is there twice`, at);
    metadata.set(key, cursor.value(key));
  }
  return metadata;
}

function alignmentOf(metadata: GgufMetadata, file: ByteFile): number {
  const alignment = metadata.get("general.alignment") ?? defaultAlignment;
  if (typeof alignment === "number" && alignment > 0 && alignment <= 2 ** 30 && (alignment & (alignment - 1)) === 0) return alignment;
  throw new RangeError(`Cannot read ${file.name}: general.alignment must be a power of two, got ${alignment}`);
}

function readTensors(cursor: GgufCursor, count: number, alignment: number): Map<string, StoredTensor> {
  const { file } = cursor, listed: { name: string; at: number; tensor: Omit<StoredTensor, "file"> }[] = [];
  for (let i = 0; i < count; i++) {
    const at = cursor.offset, name = cursor.string(`the name of tensor ${i}`);
    listed.push({ name, at, tensor: readTensorInfo(cursor, name, alignment) });
  }
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  const tensors = new Map<string, StoredTensor>();
  for (const { name, at, tensor } of listed) {
    if (tensors.has(name)) throw cursor.error(`tensor ${name} is there twice`, at);
    const offsetBytes = dataStart + tensor.offsetBytes, end = offsetBytes + tensor.byteLength;
    if (end > file.size) {
      throw cursor.error(`tensor ${name} ends at offset ${end}, but the file has ${file.size} bytes: it is cut off, or its listing is wrong`, at, RangeError);
    }
    tensors.set(name, { ...tensor, offsetBytes, file });
  }
  let previous = "", end = dataStart;
  for (const [name, { offsetBytes, byteLength }] of [...tensors].sort(([, a], [, b]) => a.offsetBytes - b.offsetBytes || a.byteLength - b.byteLength)) {
    if (offsetBytes < end) throw cursor.error(`tensor ${name} overlaps ${previous}`, offsetBytes);
    previous = name;
    end = offsetBytes + byteLength;
  }
  return tensors;
}

/** What is listed of a tensor after its name; its offset counts from the start of the tensors' bytes. */
function readTensorInfo(cursor: GgufCursor, name: string, alignment: number): Omit<StoredTensor, "file"> {
  const at = cursor.offset, dimensions = cursor.u32(`the number of dimensions of ${name}`);
  if (dimensions > maxDimensions) throw cursor.error(`tensor ${name} has ${dimensions} dimensions, more than ${maxDimensions}`, at);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(cursor.u64(`dimension ${i} of ${name}`, Number.MAX_SAFE_INTEGER));
  const typeAt = cursor.offset, type = cursor.u32(`the type of ${name}`), storageType = types.get(type);
  if (storageType === undefined) throw cursor.error(`tensor ${name} has type ${type}, which is unknown`, typeAt);
  const offsetAt = cursor.offset, offsetBytes = cursor.u64(`the offset of ${name}`, cursor.file.size);
  if (offsetBytes % alignment !== 0) throw cursor.error(`the offset ${offsetBytes} of tensor ${name} is no multiple of the alignment ${alignment}`, offsetAt);
  const byteLength = tensorBytes(storageType, shape);
  if (Number.isNaN(byteLength)) {
    throw cursor.error(`tensor ${name} [${shape.join(", ")}] has no whole number of ${storageType} blocks in a row, or too many`, at);
  }
  return { storageType, shape, byteLength, offsetBytes };
}

/**
 * Opens a GGUF file with the parts that belong to it.
 *
 * @param name Name of the first part.
 * @throws {Deno.errors.NotFound} when a part is missing.
 */
export async function openGguf(files: FileStore, name: string): Promise<Gguf> {
  const opened: ByteFile[] = [];
  const open = async (name: string) => {
    const file = await files.open(name);
    opened.push(file);
    return readGguf(file);
  };
  try {
    const first = await open(name), count = splitValue(first, "split.count", files.path(name)) || 1;
    if (count === 1) return { ...first, files: opened };
    const names = splitPart(name), path = files.path(name);
    if (names === null || names.count !== count) {
      throw new TypeError(`Cannot read ${path}: it is one of ${count} parts, but its name does not end in -00001-of-${digits(count)}.gguf`);
    }
    const tensors = new Map<string, StoredTensor>();
    for (let number = 1; number <= count; number++) {
      const part = number === 1 ? first : await openPart(open, names.name(number), `part ${number} of ${count} is missing`, files);
      const place = splitValue(part, "split.no", files.path(names.name(number)));
      if (place !== number - 1) throw new TypeError(`Cannot read ${files.path(names.name(number))}: split.no must be ${number - 1}, got ${place}`);
      for (const [tensor, stored] of part.tensors) {
        if (tensors.has(tensor)) throw new TypeError(`Cannot read ${stored.file.name}: tensor ${tensor} is in ${tensors.get(tensor)!.file.name} already`);
        tensors.set(tensor, stored);
      }
    }
    const expected = splitValue(first, "split.tensors.count", path);
    if (expected !== undefined && expected !== tensors.size) {
      throw new TypeError(`Cannot read ${path}: split.tensors.count is ${expected}, its parts have ${tensors.size} tensors`);
    }
    return { version: first.version, metadata: first.metadata, tensors, files: opened };
  } catch (error) {
    for (const file of opened) file.close();
    throw error;
  }
}

async function openPart(open: (name: string) => Promise<GgufPart>, name: string, why: string, files: FileStore): Promise<GgufPart> {
  try {
    return await open(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Deno.errors.NotFound(`Cannot open ${files.path(name)}: ${why}`);
    throw error;
  }
}

function splitValue({ metadata }: GgufPart, key: string, path: string): number | undefined {
  const value = metadata.get(key);
  if (value === undefined || typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw new TypeError(`Cannot read ${path}: ${key} must be a whole number`);
}

const digits = (number: number) => String(number).padStart(5, "0");
