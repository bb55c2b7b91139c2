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
  #interrupted = false;

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
   * @returns The line; null at the end of the input; "interrupted" for Ctrl+C.
   */
  async next(prompt: string): Promise<{ line: string } | null | "interrupted"> {
    if (Deno.stdin.isTerminal() && !this.#closed) {
      this.#interface.setPrompt(prompt);
      this.#interface.prompt();
    }
    this.#interrupted = false;
    while (this.#lines.length === 0 && !this.#closed && !this.#interrupted) {
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = () => {};
    }
    if (this.#interrupted) {
      this.#forgetLine();
      return "interrupted";
    }
    const line = this.#lines.shift();
    return line === undefined ? null : { line };
  }

  /** What stands in the line already is given up, as in a shell. */
  #forgetLine(): void {
    if (!this.#interface.terminal || this.#closed) return;
    this.#interface.write(null, { ctrl: true, name: "e" }); // To its end,
    this.#interface.write(null, { ctrl: true, name: "u" }); // and delete back to its beginning.
  }

  close(): void {
    Deno.removeSignalListener("SIGINT", this.#interrupt);
    this.#interface.close();
  }

  #interrupt = () => {
    this.#interrupted = true;
    this.#onInterrupt();
    this.#wake();
  };
}
