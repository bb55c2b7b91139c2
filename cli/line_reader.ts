/**
 * Lines of standard input, edited with readline where it is a terminal.
 *
 * @module
 */
import process from "node:process";
import readline from "node:readline";

/** Reads a line at a time and tells of Ctrl+C. */
export class LineReader {
  readonly #interface: readline.Interface;
  readonly #lines: string[] = [];
  readonly #onInterrupt: () => void;
  #wake = () => {};
  #closed = false;
  #isReading = false;
  #interrupted: "given up" | "interrupted" | undefined;

  /** @param onInterrupt Called for Ctrl+C while nobody waits for a line. */
  constructor(onInterrupt: () => void) {
    this.#onInterrupt = onInterrupt;
    const terminal = Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
    this.#interface = readline.createInterface({ input: process.stdin, output: process.stderr, terminal });
    this.#interface.on("line", (line: string) => {
      this.#lines.push(line);
      this.#wake();
    });
    this.#interface.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
    this.#interface.on("SIGINT", this.#interrupt); // A terminal in raw mode sends a key,
    Deno.addSignalListener("SIGINT", this.#interrupt); // anything else a signal.
  }

  /**
   * @param prompt Shown where standard input is a terminal.
   * @returns The line; null at the end of the input; for Ctrl+C "given up" when there was something to give up, "interrupted" when there was not.
   */
  async next(prompt: string): Promise<{ line: string } | null | "given up" | "interrupted"> {
    if (Deno.stdin.isTerminal() && !this.#closed) {
      this.#interface.setPrompt(prompt);
      this.#interface.prompt(true); // The cursor stays behind what was typed ahead.
    }
    this.#interrupted = undefined;
    this.#isReading = true;
    while (this.#lines.length === 0 && !this.#closed && !this.#interrupted) {
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = () => {};
    }
    this.#isReading = false;
    if (this.#interrupted) return this.#interrupted;
    const line = this.#lines.shift();
    return line === undefined ? null : { line };
  }

  /** Gives up what was typed, as a shell does: lines that nobody has taken yet, and what stands in the next one. Returns whether there was anything. */
  #giveUp(): boolean {
    if (!this.#interface.terminal || this.#closed) return false;
    const given = this.#lines.length > 0 || this.#interface.line !== "";
    this.#lines.length = 0;
    this.#interface.write(null, { ctrl: true, name: "e" }); // To its end,
    this.#interface.write(null, { ctrl: true, name: "u" }); // and delete back to its beginning.
    return given;
  }

  close(): void {
    Deno.removeSignalListener("SIGINT", this.#interrupt);
    this.#interface.close();
  }

  #interrupt = () => {
    // At once: what is typed next may come in the same piece.
    this.#interrupted = this.#isReading && this.#giveUp() ? "given up" : "interrupted";
    this.#onInterrupt();
    this.#wake();
  };
}
