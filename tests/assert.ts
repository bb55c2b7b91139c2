/** The names of `@std/assert` over `node:assert/strict`, until the registry of `@std` is reachable; `deno.json` maps the name here. */
import assertStrict from "node:assert/strict";

export function assert(condition: unknown, message?: string): asserts condition {
  assertStrict.ok(condition, message);
}
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  assertStrict.deepEqual(actual, expected, message);
}
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  assertStrict.notDeepEqual(actual, expected, message);
}
export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T {
  assertStrict.equal(actual, expected, message);
}
export function assertAlmostEquals(actual: number, expected: number, tolerance = 1e-7, message?: string): void {
  assertStrict.ok(Math.abs(actual - expected) <= tolerance, message ?? `expected ${expected} within ${tolerance}, got ${actual}`);
}
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  assertStrict.match(actual, expected, message);
}
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  assertStrict.ok(actual.includes(expected), message ?? `expected ${JSON.stringify(actual)} to include ${JSON.stringify(expected)}`);
}
// deno-lint-ignore no-explicit-any -- any error class, as in std
type ErrorClass<E extends Error> = new (...args: any[]) => E;
function check<E extends Error>(error: unknown, errorClass?: ErrorClass<E>, includes?: string): E {
  assertStrict.ok(error instanceof Error, `expected an Error, got ${error}`);
  if (errorClass) assertStrict.ok(error instanceof errorClass, `expected ${errorClass.name}, got ${error.name}: ${error.message}`);
  if (includes) assertStringIncludes(error.message, includes);
  return error as E;
}
export function assertThrows<E extends Error = Error>(fn: () => unknown, errorClass?: ErrorClass<E>, includes?: string): E {
  try {
    fn();
  } catch (error) {
    return check(error, errorClass, includes);
  }
  throw new assertStrict.AssertionError({ message: "expected the function to throw" });
}
export async function assertRejects<E extends Error = Error>(fn: () => PromiseLike<unknown>, errorClass?: ErrorClass<E>, includes?: string): Promise<E> {
  try {
    await fn();
  } catch (error) {
    return check(error, errorClass, includes);
  }
  throw new assertStrict.AssertionError({ message: "expected the promise to reject" });
}
