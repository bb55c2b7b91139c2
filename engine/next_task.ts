/**
 * How long work shares its thread with everything else.
 *
 * @module
 */

/** Lets timers, input and cancellations in. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => typeof setImmediate === "function" ? setImmediate(resolve) : setTimeout(resolve));
}
