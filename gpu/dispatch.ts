/**
 * One dispatch of a step, and what is needed to make one.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import type { Buffer, Cache, RowKind, Step } from "../engine/program.ts";
import type { Range } from "./arena.ts";
import type { AttentionWork, BatchInputs, Counts } from "./batch_inputs.ts";
import type { Kernel } from "./pipelines.ts";
import type { Scratch } from "./scratch.ts";
import type { WeightStore } from "./weights.ts";

/** What lowering needs to know where things lie. */
export interface Memory {
  readonly inputs: BatchInputs;
  readonly weights: WeightStore;
  readonly scratch: Scratch;
  /** Multiprocessors of the device, or a guess. */
  readonly multiprocessors: number;
  /** What a workgroup may have. */
  readonly workgroup: { readonly bytes: number; readonly threads: number };
  buffer(buffer: Buffer): GPUBuffer;
  cache(cache: Cache): Range;
}

/** Workgroups of a dispatch, or undefined where the batch does not need it. */
export type Grid = readonly [x: number, y: number, z: number] | undefined;

/** What a batch asks of the dispatches of a step, for what they cost. */
export type Work = Counts & AttentionWork;

/** What a dispatch has to do at least. */
export interface Cost {
  /** Everything that it must read or write, once. */
  readonly bytes: number;
  /** Multiplications and additions; 0 where they do not count. */
  readonly operations: number;
}

/** One dispatch of a step. */
export interface Dispatch {
  readonly label: string;
  /** Index of its step. */
  readonly step: number;
  readonly kernel: Kernel;
  readonly resources: readonly GPUBindingResource[];
  grid(counts: Counts): Grid;
  /** For profiles. */
  cost?(work: Work): Cost;
}

/** A step that is being lowered, with all that decides its dispatches: its neighbours, what was compiled for, and where things lie. */
export interface Lowered {
  readonly step: Step;
  readonly index: number;
  /** The steps before and after it. */
  readonly previous?: Step;
  readonly next?: Step;
  readonly options: CompileOptions;
  /** What gates pass through anywhere in the program. */
  readonly activation: number;
  readonly memory: Memory;
}

/** Number of rows of a kind. */
export function rowsOf(kind: RowKind, counts: Counts): number {
  return kind === "tokens" ? counts.rows : counts.outputs;
}

/** Makes a dispatch of a step; its first part names the kernel. */
export function dispatch(
  { step, index }: Lowered,
  { parts, access, constants, resources, grid, cost }: Pick<Kernel, "parts" | "access" | "constants"> & Pick<Dispatch, "resources" | "grid" | "cost">,
): Dispatch {
  return { label: `${step.label} ${parts[0]}`, step: index, kernel: { name: `${step.label} ${parts[0]}`, parts, access, constants }, resources, grid, cost };
}
