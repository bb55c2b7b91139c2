/**
 * What is in a checkpoint and what it takes to run it, before anything is loaded.
 *
 * @module
 */
import type { CacheType } from "../backend.ts";
import type { SmolLM3Config } from "../config.ts";
import { type Format, rowBytes, type StorageType } from "../formats.ts";
import type { Program } from "../program.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type PlanOptions, planWeights, programTensors } from "./plan_weights.ts";
import type { OtherType } from "./tensor_store.ts";

/** Tensors that are stored alike and become alike. */
export interface TensorGroup {
  readonly storageType: StorageType | OtherType;
  /** What they become on the device; null for tensors that the model does not use. */
  readonly format: Format | null;
  readonly tensors: number;
  readonly parameters: number;
  readonly fileBytes: number;
  /** 0 for tensors that the model does not use. */
  readonly memoryBytes: number;
}

/** Memory for a number of tokens, without the device's own buffers. */
export interface ContextMemory {
  readonly tokens: number;
  readonly cacheBytes: number;
  /** Weights and cache. */
  readonly totalBytes: number;
}

/** Result of {@link inspectCheckpoint}. */
export interface Inspection {
  readonly name: string;
  readonly config: SmolLM3Config;
  /** Of the tensors that the model uses. */
  readonly parameters: number;
  readonly groups: readonly TensorGroup[];
  readonly fileBytes: number;
  readonly weightBytes: number;
  /** Bytes of the KV cache for one token, all layers together. */
  readonly cacheBytesPerToken: number;
  /** For context lengths up to the model's largest, doubling. */
  readonly contexts: readonly ContextMemory[];
}

/** Options of {@link inspectCheckpoint}. */
export interface InspectOptions extends PlanOptions {
  /** Default f16. */
  readonly cacheType?: CacheType;
}

const cacheValueBytes: Record<CacheType, number> = { f32: 4, f16: 2, bf16: 2 };
const firstContext = 2048;

/**
 * Describes a checkpoint on a device that multiplies with `formats`.
 *
 * @throws {TypeError | RangeError} when the checkpoint could not be loaded there: see {@link planWeights}.
 */
export function inspectCheckpoint(program: Program, checkpoint: Checkpoint, formats: ReadonlySet<Format>, options: InspectOptions = {}): Inspection {
  const plan = planWeights(program, checkpoint, formats, options), { config } = checkpoint;
  const used = new Map(programTensors(program).map((tensor) => [tensor.name, tensor]));
  const groups = new Map<string, { -readonly [Key in keyof TensorGroup]: TensorGroup[Key] }>();
  for (const [name, { storageType, shape, byteLength }] of checkpoint.tensors) {
    const format = plan.get(name) ?? null, key = `${storageType} ${format}`, tensor = used.get(name);
    const group = groups.get(key) ?? { storageType, format, tensors: 0, parameters: 0, fileBytes: 0, memoryBytes: 0 };
    group.tensors++;
    group.parameters += shape.reduce((product, size) => product * size, 1);
    group.fileBytes += byteLength;
    if (tensor !== undefined && format !== null) group.memoryBytes += tensor.rows * rowBytes(format, tensor.cols);
    groups.set(key, group);
  }
  const sum = (pick: (group: TensorGroup) => number) => [...groups.values()].reduce((total, group) => total + pick(group), 0);
  const weightBytes = sum((group) => group.memoryBytes);
  const cacheBytesPerToken = 2 * config.numHiddenLayers * config.numKeyValueHeads * config.headDim * cacheValueBytes[options.cacheType ?? "f16"];
  return {
    name: checkpoint.name,
    config,
    parameters: sum((group) => group.format === null ? 0 : group.parameters),
    groups: [...groups.values()].sort((a, b) => b.fileBytes - a.fileBytes),
    fileBytes: sum((group) => group.fileBytes),
    weightBytes,
    cacheBytesPerToken,
    contexts: contextLengths(config.maxPositionEmbeddings).map((tokens) => {
      const cacheBytes = tokens * cacheBytesPerToken;
      return { tokens, cacheBytes, totalBytes: weightBytes + cacheBytes };
    }),
  };
}

function contextLengths(longest: number): number[] {
  const lengths: number[] = [];
  for (let tokens = firstContext; tokens < longest; tokens *= 2) lengths.push(tokens);
  return [...lengths, longest];
}
