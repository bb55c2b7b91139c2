/**
 * The workers of one executable, and the words and the mailbox through which the main thread talks to them.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { DeviceError } from "../engine/backend.ts";
import { abortTeam, ARGUMENTS, CONTROL_WORDS, DONE, EPOCH, FAILED, RUN, STOP, type WorkerMessage, type WorkerStart } from "./control.ts";

/** What all workers are told alike. */
export type CrewPlan = Omit<WorkerStart, "control" | "mailbox" | "thread">;

/** A number of workers, all asleep or all at work on one command. */
export class Crew {
  /** Bytes that travel with a command. */
  readonly mailbox: Uint8Array<SharedArrayBuffer>;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #workers: Worker[] = [];
  /** Memories and where the team of each has its words; none once the crew is closed. */
  #teams: readonly { readonly memory: WebAssembly.Memory; readonly teamAddress: number }[];
  #failed!: (error: DeviceError) => void;
  /** Rejects when a worker fails or the crew is closed. */
  readonly #failure = new Promise<never>((_, reject) => this.#failed = reject);
  /** Rejects the run under way: what waits for the failure itself, which hardly ever comes, stays with it until it does. */
  #interrupt: (error: unknown) => void = () => {};
  #closed: DeviceError | null = null;

  private constructor({ memories, plans }: CrewPlan, mailboxBytes: number) {
    this.#teams = memories?.map((memory, index) => ({ memory, teamAddress: plans[index].teamAddress })) ?? [];
    this.mailbox = new Uint8Array(new SharedArrayBuffer(mailboxBytes));
    this.#control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
    this.#failure.catch((error) => this.#interrupt(error)); // nobody waiting is no error
  }

  /**
   * Starts the workers; each has its instances when this resolves.
   *
   * @param source The worker as a CommonJS script.
   * @throws {DeviceError} when one cannot start, for want of memory for example.
   */
  static async start(source: string, plan: CrewPlan, mailboxBytes: number): Promise<Crew> {
    const crew = new Crew(plan, mailboxBytes);
    const ready = Array.from({ length: plan.threads }, (_, thread) => crew.#startWorker(source, { ...plan, thread }));
    try {
      await Promise.race([Promise.all(ready), crew.#failure]);
    } catch (error) {
      crew.close();
      throw error;
    }
    // A script that forgets to close may still end.
    for (const worker of crew.#workers) worker.unref();
    return crew;
  }

  #startWorker(source: string, plan: CrewPlan & { thread: number }): Promise<void> {
    // Node's worker rather than the web's: it takes its source as it is, without a permission, and does not keep a finished script alive.
    const worker = new Worker(source, { eval: true });
    this.#workers.push(worker);
    worker.on("error", (error) => this.#fail(`thread ${plan.thread}: ${error}`));
    worker.on("exit", () => this.#fail(`thread ${plan.thread} ended`));
    const start: WorkerStart = { ...plan, control: this.#control.buffer, mailbox: this.mailbox.buffer };
    return new Promise((resolve) => {
      worker.on("message", (message: WorkerMessage) => message.kind === "ready" ? resolve() : this.#fail(message.message));
      worker.postMessage(start);
    });
  }

  #fail(message: string): void {
    this.#closed ??= new DeviceError(`The model's worker failed: ${message}`);
    this.#failed(this.#closed);
  }

  /** @throws {DeviceError} when a worker has failed or the crew is closed. */
  check(): void {
    if (this.#closed !== null) throw this.#closed;
    if (Atomics.load(this.#control, FAILED) !== 0) throw new DeviceError("A worker of the model has failed");
  }

  #issue(command: number, args: readonly number[]): void {
    const control = this.#control;
    args.forEach((value, i) => control[ARGUMENTS + i] = value);
    const number = (Atomics.load(control, EPOCH) >> 3) + 1;
    Atomics.store(control, EPOCH, number << 3 | command);
    Atomics.notify(control, EPOCH);
  }

  /** Blocks until the latest command is done. For commands that copy or pack: microseconds to milliseconds. */
  finish(): void {
    const control = this.#control;
    for (;;) {
      const done = Atomics.load(control, DONE);
      if (done === Atomics.load(control, EPOCH)) break;
      this.check();
      Atomics.wait(control, DONE, done, 1000);
    }
    this.check();
  }

  /** Waits for the command before, then issues one, and returns at once. */
  send(command: number, ...args: number[]): void {
    this.finish();
    this.#issue(command, args);
  }

  /** Runs steps of the program on the batch of so many bytes in the mailbox. */
  async run(batchBytes: number, fromStep: number, toStep: number): Promise<void> {
    this.finish();
    const control = this.#control, { promise: interruption, reject } = Promise.withResolvers<never>();
    this.#interrupt = reject;
    interruption.catch(() => {}); // who waits hears of it
    for (const worker of this.#workers) worker.ref();
    try {
      this.#issue(RUN, [batchBytes, fromStep, toStep]);
      const issued = Atomics.load(control, EPOCH);
      // Who finished the command before may have said so and be late to wake whoever waits for it: being woken is no proof.
      for (let done = Atomics.load(control, DONE); done !== issued; done = Atomics.load(control, DONE)) {
        const wait = Atomics.waitAsync(control, DONE, done);
        if (wait.async) await Promise.race([wait.value, interruption]);
      }
      // The failure's message may still be on its way.
      if (Atomics.load(control, FAILED) !== 0) await this.#failure;
      this.check();
    } finally {
      for (const worker of this.#workers) worker.unref();
    }
  }

  /** Ends the workers; a run in flight rejects. Safe to call twice. */
  close(): void {
    this.#closed ??= new DeviceError("The model was closed");
    this.#failed(this.#closed);
    // Who sleeps when it is terminated keeps its thread and its memories for ever: let all wake up and leave, from between commands and from barriers.
    this.#issue(STOP, []);
    for (const { memory, teamAddress } of this.#teams) abortTeam(new Int32Array(memory.buffer), teamAddress);
    this.#teams = [];
    Atomics.notify(this.#control, DONE); // So would a run that waits, its mailbox.
    for (const worker of this.#workers.splice(0)) void worker.terminate();
  }
}
