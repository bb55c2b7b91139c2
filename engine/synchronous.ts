/**
 * What callers hand in to take part in a step must be done when it returns.
 *
 * @module
 */

/**
 * The result of a caller's function.
 *
 * @throws {TypeError} when it is a promise: nobody waits for it, and as an answer it would count as yes.
 */
export function synchronous<T>(name: string, result: T): T {
  if (!(result instanceof Promise)) return result;
  result.catch(() => {}); // Nobody else will.
  throw new TypeError(`A ${name} must not be an async function: nobody waits for it`);
}
