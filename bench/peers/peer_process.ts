/**
 * A peer under measurement: a process that has loaded the model and measures once for every line it reads.
 *
 * @module
 */

/** Tokens per second of one measurement. */
export interface Speed {
  readonly prefill: number;
  readonly decode: number;
}

/** How to start a peer. */
export interface Peer {
  readonly name: string;
  /** @returns Program and arguments for one measurement of `prompt` tokens of prefill and `newTokens` of decode after them. */
  command(file: string, threads: number, prompt: number, newTokens: number): readonly [program: string, ...args: string[]];
}

/** A started peer. */
export class PeerProcess {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;
  readonly name: string;
  readonly version: string;
  /** From the start of its own program to the first 8 tokens computed, as the peer says. */
  readonly startMs: number;

  private constructor(child: Deno.ChildProcess, lines: AsyncIterator<string>, name: string, version: string, startMs: number) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#lines = lines;
    this.name = name;
    this.version = version;
    this.startMs = startMs;
  }

  /** @throws {Error} when the peer cannot run; the message names its command. */
  static async start(peer: Peer, file: string, threads: number, prompt: number, newTokens: number): Promise<PeerProcess> {
    const [program, ...args] = peer.command(file, threads, prompt, newTokens);
    const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
    const lines = readLines(child.stdout);
    const { value } = await lines.next();
    if (value === undefined) throw new Error(`Cannot start ${peer.name}: ${program} ${args.join(" ")} printed nothing`);
    const { version, startMs } = JSON.parse(value);
    return new PeerProcess(child, lines, peer.name, version, startMs);
  }

  /** One measurement. */
  async measure(): Promise<Speed> {
    await this.#writer.write(new TextEncoder().encode("\n"));
    const { value } = await this.#lines.next();
    if (value === undefined) throw new Error(`${this.name} ended before it had measured`);
    return JSON.parse(value);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#child.status;
  }
}

async function* readLines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
