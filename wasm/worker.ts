/**
 * A worker of the model: one thread, one instance of the module for each memory, asleep until a command comes.
 * `_tools/build_model.ts` bundles it into `wasm/generated/model_worker.gen.ts`.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { abortTeam, ARGUMENTS, ARRIVED, DONE, EPOCH, FAILED, PACK, READ, RUN, STOP, type WorkerMessage, type WorkerStart, WRITE } from "./control.ts";
import { type ModelExports, modelImports } from "./model_exports.ts";

const port = parentPort!;
const post = (message: WorkerMessage) => port.postMessage(message);

/** Everything of one memory. */
class Place {
  readonly exports: ModelExports;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;

  constructor(start: WorkerStart, index: number) {
    const { module, memories, plans, thread } = start, plan = plans[index];
    const memory = memories?.[index] ?? new WebAssembly.Memory({ initial: plan.pages, maximum: plan.pages });
    this.bytes = new Uint8Array(memory.buffer);
    this.words = new Int32Array(memory.buffer);
    const instance = new WebAssembly.Instance(module, modelImports(module, memory));
    this.exports = instance.exports as unknown as ModelExports;
    // Every instance starts with the same stack: each gets its own.
    this.exports.__stack_pointer.value = plan.stackTop + thread * plan.stackBytes;
    if (thread === 0) { for (const { address, words } of plan.image) this.words.set(words, address / 4); }
  }
}

/** Returns whether the whole program ran. */
function run(start: WorkerStart, places: readonly Place[], mailbox: Uint8Array, [bytes, from, to]: Int32Array): boolean {
  const { thread, plans, batchAddress, embeds, logits } = start;
  const batch = places[0].words.subarray(batchAddress / 4);
  if (thread === 0) {
    for (const place of places) place.bytes.set(mailbox.subarray(0, bytes), batchAddress);
    places[embeds.memory].bytes.set(mailbox.subarray(bytes, bytes + batch[4]), embeds.address);
  }
  for (const { memory, firstStep, stepAddresses, copies } of start.runs) {
    const first = Math.max(from, firstStep), end = Math.min(to, firstStep + stepAddresses.length - 1);
    if (first >= end) continue;
    const { exports, bytes } = places[memory], plan = plans[memory];
    if (thread === 0 && first === firstStep) {
      for (const { from, fromAddress, toAddress, rowBytes, count } of copies) {
        bytes.set(places[from].bytes.subarray(fromAddress, fromAddress + batch[count] * rowBytes), toAddress);
      }
    }
    // Its first barrier holds the others until thread 0 has copied.
    const own = plan.privateAddress + thread * plan.privateBytes, code = stepAddresses[first - firstStep];
    const words = (stepAddresses[end - firstStep] - code) / 4;
    if (exports.run(code, words, plan.contextAddress, batchAddress, thread, own) !== 0) return false;
  }
  if (start.memories === null) {
    mailbox.set(places[logits.memory].bytes.subarray(logits.address, logits.address + batch[1] * logits.rowBytes));
  }
  return true;
}

/** This thread's share of a {@link PACK}: whole sets of 32 rows, as many at a time as its staging memory takes. */
function pack({ plans, thread, threads }: WorkerStart, places: readonly Place[], mailbox: Uint8Array, args: Int32Array): void {
  const [memory, address, format, firstRow, rows, totalRows, cols, bytes, at] = new Uint32Array(args);
  const plan = plans[memory], place = places[memory], rowBytes = bytes / rows;
  const staging = plan.stagingAddress + thread * plan.stagingBytes, step = Math.floor(plan.stagingBytes / rowBytes / 32) * 32;
  const share = Math.ceil(rows / threads / 32) * 32, end = Math.min(rows, (thread + 1) * share);
  for (let row = thread * share; row < end; row += step) {
    const count = Math.min(step, end - row), from = at + row * rowBytes;
    place.bytes.set(mailbox.subarray(from, from + count * rowBytes), staging);
    place.exports.pack(format, staging, firstRow + row, count, totalRows, cols, address);
  }
}

function serve(start: WorkerStart): void {
  const control = new Int32Array(start.control), mailbox = new Uint8Array(start.mailbox), args = control.subarray(ARGUMENTS);
  const { thread, threads, plans } = start;
  const places = plans.map((_, index) => new Place(start, index));
  post({ kind: "ready" });
  const done = (epoch: number) => {
    Atomics.store(control, DONE, epoch);
    Atomics.notify(control, DONE);
  };
  for (let epoch = 0;;) {
    Atomics.wait(control, EPOCH, epoch);
    const latest = Atomics.load(control, EPOCH);
    // The main thread may be late to wake those who wait for a command that this worker has found, and done, by itself.
    if (latest === epoch) continue;
    epoch = latest;
    try {
      switch (epoch & 7) {
        case STOP:
          return; // Its port has nothing to close; the main thread ends it.
        case RUN:
          if (run(start, places, mailbox, args) && thread === 0) done(epoch);
          break;
        case WRITE: {
          if (thread > 0) break;
          const [memory, address, bytes, at] = new Uint32Array(args);
          places[memory].bytes.set(mailbox.subarray(at, at + bytes), address);
          done(epoch);
          break;
        }
        case READ: {
          if (thread > 0) break;
          const [memory, address, bytes] = new Uint32Array(args);
          mailbox.set(places[memory].bytes.subarray(address, address + bytes));
          done(epoch);
          break;
        }
        case PACK:
          pack(start, places, mailbox, args);
          if (Atomics.add(control, ARRIVED, 1) === threads - 1) {
            Atomics.store(control, ARRIVED, 0);
            done(epoch);
          }
      }
    } catch (error) {
      Atomics.store(control, FAILED, 1);
      places.forEach(({ words }, index) => abortTeam(words, plans[index].teamAddress)); // The others leave, too.
      post({ kind: "failed", message: `thread ${thread}: ${error}` });
      done(epoch);
    }
  }
}

port.once("message", (start: WorkerStart) => {
  try {
    serve(start);
  } catch (error) {
    post({ kind: "failed", message: `thread ${start.thread}: ${error}` });
  }
});
