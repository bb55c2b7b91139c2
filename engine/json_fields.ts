/**
 * Typed reading of JSON objects that come from files: every error names the file and the key.
 *
 * @module
 */

/** A JSON object. */
export type JsonObject = { readonly [key: string]: unknown };

/** @returns Whether `value` is a JSON object (no array, no null). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Parses the text of a JSON file that holds an object.
 *
 * @throws {SyntaxError} when the text is not JSON.
 * @throws {TypeError} when it is not an object.
 */
export function parseJsonObject(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read ${file}: ${(error as Error).message}`);
  }
  if (!isJsonObject(value)) throw new TypeError(`Cannot read ${file}: expected a JSON object, got ${describe(value)}`);
  return value;
}

/** A value for an error message: short, whatever it is. */
export function describe(value: unknown): string {
  if (typeof value === "object" && value !== null) return "length" in value ? `a list of ${value.length}` : "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Bounds of a number, both inclusive. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/**
 * The keys of one JSON object. Python's `None` (JSON's null) counts as absent. A getter with a `fallback` returns it for an absent key;
 * without one it throws a {@link TypeError}, as for a wrong type; a {@link RangeError} is a number out of bounds.
 */
export class Fields {
  /** Largest size or count that a configuration may claim. */
  static readonly maxSize = 2 ** 31 - 1;
  readonly json: JsonObject;
  readonly file: string;
  readonly #path: string;

  /** @param path Prefix of the keys in messages, such as `rope_parameters.`. */
  constructor(json: JsonObject, file: string, path = "") {
    this.json = json;
    this.file = file;
    this.#path = path;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.json, key) && this.json[key] !== null && this.json[key] !== undefined;
  }

  /** A whole number, from 0 to {@link Fields.maxSize} unless bounded otherwise. */
  integer(key: string, fallback?: number, { min = 0, max = Fields.maxSize }: Bounds = {}): number {
    if (!this.has(key) && fallback !== undefined) return fallback;
    return this.#integer(this.#get(key), key, min, max);
  }

  /** A finite number. */
  number(key: string, fallback?: number, { min = -Infinity, max = Infinity }: Bounds = {}): number {
    if (!this.has(key) && fallback !== undefined) return fallback;
    return this.#inBounds(this.#number(this.#get(key), key), key, min, max);
  }

  /** A finite number greater than 0. */
  positive(key: string, fallback?: number): number {
    return this.number(key, fallback, { min: Number.MIN_VALUE });
  }

  boolean(key: string, fallback?: boolean): boolean {
    if (!this.has(key) && fallback !== undefined) return fallback;
    const value = this.#get(key);
    if (typeof value !== "boolean") throw this.#wrongType(key, "true or false", value);
    return value;
  }

  string(key: string, fallback?: string): string {
    if (!this.has(key) && fallback !== undefined) return fallback;
    const value = this.#get(key);
    if (typeof value !== "string") throw this.#wrongType(key, "a string", value);
    return value;
  }

  strings(key: string, fallback?: readonly string[]): readonly string[] {
    if (!this.has(key) && fallback !== undefined) return fallback;
    const values = this.#get(key);
    if (!Array.isArray(values)) throw this.#wrongType(key, "a list of strings", values);
    return values.map((value, i) => {
      if (typeof value !== "string") throw this.#wrongType(`${key}[${i}]`, "a string", value);
      return value;
    });
  }

  /** A list of finite numbers. */
  numbers(key: string): readonly number[] {
    const values = this.#get(key);
    if (!Array.isArray(values)) throw this.#wrongType(key, "a list of numbers", values);
    return values.map((value, i) => this.#number(value, `${key}[${i}]`));
  }

  /** Token ids: one, or a list of them. */
  ids(key: string, fallback?: readonly number[]): readonly number[] {
    if (!this.has(key) && fallback !== undefined) return fallback;
    const value = this.#get(key), { maxSize } = Fields;
    return Array.isArray(value) ? value.map((id, i) => this.#integer(id, `${key}[${i}]`, 0, maxSize)) : [this.#integer(value, key, 0, maxSize)];
  }

  /** An object of its own. */
  object(key: string): Fields {
    const value = this.#get(key);
    if (!isJsonObject(value)) throw this.#wrongType(key, "an object", value);
    return new Fields(value, this.file, `${this.#path}${key}.`);
  }

  /** @returns An error that names the file and the key, to be thrown by the caller. */
  error(key: string, problem: string): RangeError {
    return new RangeError(`Cannot read ${this.file}: ${this.#path}${key} ${problem}`);
  }

  #get(key: string): unknown {
    if (!this.has(key)) throw new TypeError(`Cannot read ${this.file}: the key ${this.#path}${key} is missing`);
    return this.json[key];
  }

  #number(value: unknown, key: string): number {
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.#wrongType(key, "a number", value);
    return value;
  }

  #integer(value: unknown, key: string, min: number, max: number): number {
    if (typeof value !== "number" || !Number.isInteger(value)) throw this.#wrongType(key, "a whole number", value);
    return this.#inBounds(value, key, min, max);
  }

  #inBounds(value: number, key: string, min: number, max: number): number {
    if (value >= min && value <= max) return value;
    const bounds = min === Number.MIN_VALUE ? "more than 0" : max === Infinity ? `at least ${min}` : `between ${min} and ${max}`;
    throw this.error(key, `must be ${bounds}, got ${value}`);
  }

  #wrongType(key: string, expected: string, value: unknown): TypeError {
    return new TypeError(`Cannot read ${this.file}: ${this.#path}${key} must be ${expected}, got ${describe(value)}`);
  }
}
