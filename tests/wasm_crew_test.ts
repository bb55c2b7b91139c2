/**
 * How the main thread and its workers agree on when a command is done.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Worker } from "node:worker_threads";
import { CONTROL_WORDS, DONE, EPOCH, WRITE } from "../wasm/control.ts";
import { Crew, type CrewPlan } from "../wasm/crew.ts";
import { workerSource } from "../wasm/generated/model_worker.gen.ts";

/** A worker that wakes the main thread again and again before it has done what it is to do: as one that is late with the command before. */
const lateWaker = `
const { parentPort } = require("node:worker_threads");
parentPort.once("message", ({ control, mailbox }) => {
  const words = new Int32Array(control), pause = new Int32Array(new SharedArrayBuffer(4));
  parentPort.postMessage({ kind: "ready" });
  for (let epoch = 0; ; ) {
    Atomics.wait(words, ${EPOCH}, epoch);
    epoch = Atomics.load(words, ${EPOCH});
    for (let i = 0; i < 20; i++) {
      Atomics.notify(words, ${DONE});
      Atomics.wait(pause, 0, 0, 1);
    }
    new Uint8Array(mailbox)[0]++;
    Atomics.store(words, ${DONE}, epoch);
    Atomics.notify(words, ${DONE});
  }
});`;

Deno.test("wasm: a run is over when it is done, not when somebody wakes who waits for it", async () => {
  const crew = await Crew.start(lateWaker, { threads: 1 } as CrewPlan, 16);
  for (let run = 1; run <= 3; run++) {
    await crew.run(0, 0, 1);
    assertEquals(crew.mailbox[0], run);
  }
  crew.close();
});

Deno.test("wasm: a run leaves nothing behind with what the next one waits for", async () => {
  const crew = await Crew.start(lateWaker, { threads: 1 } as CrewPlan, 16), { race } = Promise, runs: Set<unknown>[] = [];
  Promise.race = (promises: Iterable<unknown>): Promise<never> => {
    const waited = [...promises];
    for (const promise of waited) runs.at(-1)!.add(promise);
    return race.call(Promise, waited) as Promise<never>;
  };
  for (let run = 0; run < 3; run++) {
    runs.push(new Set());
    await crew.run(0, 0, 1);
  }
  Promise.race = race;
  assertEquals(runs.map(({ size }) => size > 0), [true, true, true]);
  assertEquals(runs.reduce((all, run) => all.union(run)).size, runs.reduce((sum, { size }) => sum + size, 0));
  crew.close();
});

Deno.test("wasm: a worker does a command once, however often it is woken", async () => {
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS)), worker = new Worker(workerSource, { eval: true }), done: string[] = [];
  const next = () => new Promise<{ kind: string }>((resolve) => worker.once("message", resolve));
  worker.postMessage({ control: control.buffer, mailbox: new SharedArrayBuffer(4), plans: [], memories: [], thread: 0, threads: 1 });
  assertEquals((await next()).kind, "ready");
  worker.on("message", ({ kind }) => done.push(kind));
  // Without a memory to write to the command fails, and says so each time that it is done.
  Atomics.store(control, EPOCH, 1 << 3 | WRITE);
  for (let i = 0; i < 50; i++) {
    Atomics.notify(control, EPOCH);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assertEquals(done, ["failed"]);
  await worker.terminate();
});
