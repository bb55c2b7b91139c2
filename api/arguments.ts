/**
 * Checks of arguments where callers hand them in: whatever is wrong has its name in the message, and nothing has begun.
 *
 * @module
 */

/** A value as it stands in a message. */
export function inWords(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** @throws {TypeError} when options are no object, or, where all names are known, one of them is not. */
export function requireOptions(what: string, options: unknown, known?: readonly string[]): void {
  if (typeof options !== "object" || options === null) throw new TypeError(`Options of ${what} must be an object, got ${inWords(options)}`);
  const unknown = known && Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`Unknown option ${unknown} of ${what}, choose from ${known!.join(", ")}`);
}

/** @throws {TypeError} when it is neither left out nor a signal. */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new TypeError(`Option signal must be an AbortSignal, got ${inWords(signal)}`);
}

/** @throws {TypeError} when it is left out neither, nor a function or a list of functions. */
export function checkFunctions(name: string, given: unknown): void {
  const bad = [given ?? []].flat().find((one) => typeof one !== "function");
  if (bad !== undefined) throw new TypeError(`Option ${name} must be a function or a list of functions, got ${inWords(bad)}`);
}
