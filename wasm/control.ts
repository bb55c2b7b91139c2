/**
 * Words that the main thread and the model's workers share, and what the main thread tells workers at their start. Imported by both sides.
 *
 * The main thread writes a command's arguments, puts the command with a running number into {@link EPOCH} and wakes the workers. A worker may
 * sleep through commands that are not its business, which is why the command travels in that one word. When it is done one of them puts the word
 * into {@link DONE}. Nothing is posted in between: a message costs about 90 microseconds, a wake-up about 10.
 *
 * @module
 */

/** The latest command: its running number times 8, plus what to do. */
export const EPOCH = 0;
/** The latest command that is done. */
export const DONE = 1;
/** 1 once a worker has failed; the error itself comes as a message. */
export const FAILED = 2;
/** How many workers have done their share of a {@link PACK}. */
export const ARRIVED = 3;
/** First of a command's arguments. */
export const ARGUMENTS = 4;
/** Words in all. */
export const CONTROL_WORDS = 16;

/** Ends the worker. */
export const STOP = 0;
/**
 * `bytes, first step, end`: copies the batch at the start of the mailbox into every memory, walks steps of the program, puts the logits into the
 * mailbox if the main thread cannot see them.
 */
export const RUN = 1;
/** `memory, address, bytes, at`: copies from the mailbox. */
export const WRITE = 2;
/** `memory, address, format, first row, rows, rows in all, columns, bytes, at`: packs rows of a weight from the mailbox; all workers share the work. */
export const PACK = 3;
/** `memory, address, bytes`: copies to the start of the mailbox. */
export const READ = 4;

/** A buffer that a run reads and another memory's run has written. */
export interface BufferCopy {
  readonly from: number;
  readonly fromAddress: number;
  readonly toAddress: number;
  readonly rowBytes: number;
  /** Index in the batch's words of the number of rows. */
  readonly count: number;
}

/** Consecutive steps in one memory. */
export interface Run {
  readonly memory: number;
  readonly firstStep: number;
  /** Address of each step's words, then where they end. */
  readonly stepAddresses: readonly number[];
  /** Done before it starts. */
  readonly copies: readonly BufferCopy[];
}

/** What every worker needs to know of one memory. */
export interface MemoryPlan {
  readonly pages: number;
  readonly contextAddress: number;
  /** Address of the team's words. */
  readonly teamAddress: number;
  /** End of the first thread's stack. */
  readonly stackTop: number;
  readonly stackBytes: number;
  readonly privateAddress: number;
  readonly privateBytes: number;
  readonly stagingAddress: number;
  readonly stagingBytes: number;
  /** Words to be written before anything runs. */
  readonly image: readonly { readonly address: number; readonly words: Uint32Array }[];
}

/** First message to a worker. */
export interface WorkerStart {
  readonly module: WebAssembly.Module;
  /** The memories, or null where the one worker makes its own. */
  readonly memories: readonly WebAssembly.Memory[] | null;
  readonly plans: readonly MemoryPlan[];
  readonly runs: readonly Run[];
  /** The same in every memory. */
  readonly batchAddress: number;
  /** Where a batch's `inputsEmbeds` go: embed's output. */
  readonly embeds: { readonly memory: number; readonly address: number };
  readonly logits: { readonly memory: number; readonly address: number; readonly rowBytes: number };
  readonly control: SharedArrayBuffer;
  readonly mailbox: SharedArrayBuffer;
  readonly thread: number;
  readonly threads: number;
}

/** Frees a memory's workers from their barriers: word 3 of the team is `aborted`, word 1 the round. */
export function abortTeam(words: Int32Array, teamAddress: number): void {
  const team = teamAddress / 4;
  Atomics.store(words, team + 3, 1);
  Atomics.add(words, team + 1, 1);
  Atomics.notify(words, team + 1);
}

/** What a worker posts: at its start, and when it fails. */
export type WorkerMessage = { readonly kind: "ready" } | { readonly kind: "failed"; readonly message: string };

/** Words at the start of a batch: counts, then addresses; `BatchWords` in the crate's program.rs. */
export const batchWords = [
  "rows",
  "outputs",
  "sequences",
  "blocksPerSequence",
  "embedded",
  "tokens",
  "rope",
  "slots",
  "queryStarts",
  "contextLengths",
  "blockTables",
  "outputRows",
] as const;
