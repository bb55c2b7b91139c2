/**
 * Spreads a program over memories. One memory of 32-bit addresses ends at 4 GiB; what needs more is cut along its steps.
 *
 * @module
 */
import { DeviceError } from "../engine/backend.ts";
import { type Binding, type Buffer, type Cache, ops, type Program, type Step, type Weight } from "../engine/program.ts";

/** A weight matrix or a layer's cache: what takes room. */
export type Load = Weight | Cache;

/** Which memory holds what. */
export interface Sharding {
  readonly memories: number;
  readonly memoryOf: ReadonlyMap<Load, number>;
  readonly shards: readonly Shard[];
  /** A memory that holds each buffer once the program has run. */
  readonly lastMemory: ReadonlyMap<Buffer, number>;
}

/** Consecutive steps in one memory. */
export interface Shard {
  readonly memory: number;
  readonly steps: readonly Step[];
  /** Buffers that it reads and that another memory's steps wrote. */
  readonly copies: readonly { readonly buffer: Buffer; readonly from: number }[];
}

/** Operands of a step by name. */
export function operandsOf(step: Step): Record<string, Binding | null> {
  return Object.fromEntries(ops[step.op].binds.map((name, i) => [name, step.binds[i]]));
}

/** The weight matrix of a step, if it has one. */
export function matrixOf(step: Step): Weight | undefined {
  const { table, weight } = operandsOf(step);
  return (table ?? weight) as Weight | undefined;
}

/** Buffers that a step reads: all it binds but those it only writes. */
function buffersRead(step: Step): Buffer[] {
  return Object.entries(operandsOf(step)).filter(([name, bound]) => bound?.kind === "buffer" && (name !== "out" || step.op === "linearAdd"))
    .map(([, bound]) => bound as Buffer);
}

function buffersWritten(step: Step): Buffer[] {
  const operands = operandsOf(step);
  return ops[step.op].writes.map((name) => operands[name]).filter((bound) => bound?.kind === "buffer") as Buffer[];
}

/**
 * Fills one memory after the other, in the order of the steps. A step runs where its weight or cache lies, one without them where the step
 * before it ran. Results do not depend on the cut: buffers are copied whole.
 *
 * @param bytesOf Bytes of a matrix or a cache.
 * @param capacity Bytes of them that one memory takes.
 * @throws {DeviceError} when one of them alone is larger.
 */
export function shard(program: Program, bytesOf: (load: Load) => number, capacity: number): Sharding {
  const memoryOf = new Map<Load, number>(), written = new Map<Buffer, Set<number>>();
  const shards: { memory: number; steps: Step[]; copies: { buffer: Buffer; from: number }[] }[] = [];
  let filling = 0, used = 0, memory = 0;
  for (const step of program.steps) {
    const load = matrixOf(step) ?? step.binds.find((bound) => bound?.kind === "cache");
    if (load !== undefined && !memoryOf.has(load)) {
      const bytes = bytesOf(load);
      if (bytes > capacity) {
        const [what, fix] = load.kind === "cache"
          ? ["KV cache", "ask for shorter contexts (maxModelLen) or a smaller cache (cacheBytes)"]
          : ["weight", "quantize it while loading"];
        throw new DeviceError(`Cannot place the ${what} of ${step.label}: it takes ${bytes} bytes, one memory has room for ${capacity}; ${fix}`);
      }
      if (used + bytes > capacity) {
        filling++;
        used = 0;
      }
      used += bytes;
      memoryOf.set(load, filling);
    }
    if (load !== undefined) memory = memoryOf.get(load)!;
    if (shards.at(-1)?.memory !== memory) shards.push({ memory, steps: [], copies: [] });
    const { steps, copies } = shards.at(-1)!;
    steps.push(step);
    for (const buffer of buffersRead(step)) {
      const holders = written.get(buffer);
      if (holders === undefined || holders.has(memory)) continue;
      copies.push({ buffer, from: [...holders][0] });
      holders.add(memory);
    }
    for (const buffer of buffersWritten(step)) written.set(buffer, new Set([memory]));
  }
  const lastMemory = new Map([...written].map(([buffer, holders]) => [buffer, [...holders][0]]));
  return { memories: filling + 1, memoryOf, shards, lastMemory };
}
