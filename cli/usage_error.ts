/**
 * What a command throws when it was called wrongly.
 *
 * @module
 */

/** The command line is wrong: exit status 2. The message names the flag and the fix. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
