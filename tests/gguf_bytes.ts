/**
 * GGUF files made by hand, right or wrong.
 *
 * @module
 */

/** A metadata value with the number of its type. */
export type Value =
  | { u8: number }
  | { u16: number }
  | { u32: number }
  | { i32: number }
  | { u64: bigint }
  | { i64: bigint }
  | { f32: number }
  | { f64: number }
  | { bool: number }
  | { string: string }
  | { array: [type: number, values: Value[], claimed?: bigint] }
  | { raw: [type: number, bytes: number[]] };

/** A listed tensor; dimensions in the file's order, the innermost first. */
export interface TensorInfo {
  readonly name: string;
  readonly dimensions: readonly bigint[];
  readonly type: number;
  readonly offset: bigint;
}

/** What differs from a right file. */
export interface GgufParts {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: bigint;
  readonly valueCount?: bigint;
  readonly metadata?: readonly (readonly [string, Value])[];
  readonly tensors?: readonly TensorInfo[];
  readonly alignment?: number;
  readonly dataBytes?: number;
}

/** The bytes of a file. */
export function ggufBytes(parts: GgufParts): Uint8Array<ArrayBuffer> {
  const { magic = "GGUF", version = 3, metadata = [], tensors = [], alignment = 32, dataBytes = 0 } = parts;
  const out: number[] = [];
  const int = (value: bigint | number, bytes: number) => {
    for (let i = 0; i < bytes; i++) out.push(Number(BigInt(value) >> BigInt(8 * i) & 255n));
  };
  const string = (text: string) => {
    const bytes = new TextEncoder().encode(text);
    int(bytes.length, 8);
    out.push(...bytes);
  };
  out.push(...new TextEncoder().encode(magic));
  int(version, 4);
  int(parts.tensorCount ?? tensors.length, 8);
  int(parts.valueCount ?? metadata.length, 8);
  for (const [key, value] of metadata) {
    string(key);
    int(typeOf(value), 4);
    write(value);
  }
  for (const { name, dimensions, type, offset } of tensors) {
    string(name);
    int(dimensions.length, 4);
    for (const dimension of dimensions) int(dimension, 8);
    int(type, 4);
    int(offset, 8);
  }
  if (tensors.length > 0) { while (out.length % alignment !== 0) out.push(0); }
  for (let i = 0; i < dataBytes; i++) out.push(i & 255);
  return Uint8Array.from(out);

  function write(value: Value): void {
    if ("u8" in value) int(value.u8, 1);
    else if ("u16" in value) int(value.u16, 2);
    else if ("u32" in value) int(value.u32, 4);
    else if ("i32" in value) int(value.i32, 4);
    else if ("u64" in value) int(value.u64, 8);
    else if ("i64" in value) int(value.i64, 8);
    else if ("f32" in value) out.push(...new Uint8Array(Float32Array.of(value.f32).buffer));
    else if ("f64" in value) out.push(...new Uint8Array(Float64Array.of(value.f64).buffer));
    else if ("bool" in value) int(value.bool, 1);
    else if ("string" in value) string(value.string);
    else if ("raw" in value) out.push(...value.raw[1]);
    else {
      const [type, values, claimed] = value.array;
      int(type, 4);
      int(claimed ?? values.length, 8);
      values.forEach(write);
    }
  }
}

function typeOf(value: Value): number {
  if ("raw" in value) return value.raw[0];
  const order = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"];
  return order.indexOf(Object.keys(value)[0]);
}
