/**
 * Standard output holds the answer and nothing else; everything else goes to standard error.
 *
 * @module
 */
import { styleText } from "node:util";

/** Whoever read our standard output has gone: not an error of ours. */
export class ClosedPipe extends Error {
  override readonly name = "ClosedPipe";
}

const encoder = new TextEncoder();

/**
 * @throws {ClosedPipe} when nobody reads any more.
 * @throws {Error} when the disk is full, for example.
 */
export function writeOut(text: string): void {
  try {
    writeAll(Deno.stdout, text);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw new ClosedPipe();
    throw new Error(`Cannot write to standard output: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** Writes to standard error, if anybody listens. */
export function writeError(text: string): void {
  try {
    writeAll(Deno.stderr, text);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  for (let written = 0; written < bytes.length;) written += stream.writeSync(bytes.subarray(written));
}

/** Text in a style where standard error is a terminal with colours. */
export function styled(style: Parameters<typeof styleText>[0], text: string): string {
  return text !== "" && Deno.stderr.isTerminal() && !Deno.noColor ? styleText(style, text, { validateStream: false }) : text;
}

/** A size for people. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return `${(bytes / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

/** One line on standard error that is written over and over; silent unless it is a terminal. */
export class StatusLine {
  readonly #isTerminal = Deno.stderr.isTerminal();
  #shownMs = -Infinity;
  #isShown = false;

  /** Shows a text, at most ten times a second. */
  show(text: string): void {
    const nowMs = performance.now();
    if (!this.#isTerminal || nowMs - this.#shownMs < 100) return;
    this.#shownMs = nowMs;
    this.#isShown = true;
    writeError(`\r\x1b[K${text}`);
  }

  clear(): void {
    if (this.#isShown) writeError("\r\x1b[K");
    this.#isShown = false;
  }
}
