/**
 * Reads the counts of test runners out of what they print.
 *
 * @module
 */

/** How many tests went which way. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The last line of `deno test`; steps are not counted. */
const DENO = /^(?:ok|FAILED) \| (\d+) passed(?: \(.*?\))? \| (\d+) failed(?: \(.*?\))?(?: \| (\d+) ignored)?/gm;
/** The last line of each binary of `cargo test`. */
const CARGO = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm;

/** @returns Sums over every summary in `output`, or null when there is none. */
export function countTests(output: string): Counts | null {
  const summaries = [...output.matchAll(DENO), ...output.matchAll(CARGO)];
  if (summaries.length === 0) return null;
  const sum = (group: number) => summaries.reduce((total, match) => total + Number(match[group] ?? 0), 0);
  return { passed: sum(1), failed: sum(2), skipped: sum(3) };
}

/** @returns Names of the tests that `output` says were ignored, in order. */
export function skippedTests(output: string): string[] {
  return [...output.matchAll(/^(?:test )?(.+?) \.\.\. ignored/gm)].map((match) => match[1]);
}
