/**
 * Everything that a program takes on the GPU: planned first, so that its size is known before anything is taken, then allocated at once.
 *
 * @module
 */
import { type CompileOptions, DeviceError } from "../engine/backend.ts";
import type { Buffer, Cache, Program, RowKind } from "../engine/program.ts";
import { Arena, type Range } from "./arena.ts";
import { BatchInputs, mostSteps } from "./batch_inputs.ts";
import type { Gpu } from "./device.ts";
import type { Memory } from "./dispatch.ts";
import { PersistentDecode } from "./persistent_decode.ts";
import { Readback } from "./readback.ts";
import { Scratch } from "./scratch.ts";
import { TokenSampler } from "./token_sampler.ts";
import { WeightStore } from "./weights.ts";

/** Buffers, weights and KV cache of one program. */
export class ProgramMemory implements Memory {
  readonly weights: WeightStore;
  /** Set by {@link ProgramMemory.allocate}, like everything below. */
  inputs!: BatchInputs;
  scratch!: Scratch;
  /** Draws tokens from the logits. */
  sampler!: TokenSampler;
  /** Where tokens and logits come back. */
  readback!: Readback;
  readonly #gpu: Gpu;
  readonly #program: Program;
  readonly #options: CompileOptions;
  readonly #caches: Arena;
  readonly #places: ReadonlyMap<Cache, number>;
  #buffers: GPUBuffer[] = [];
  #plain: GPUBuffer[] = [];

  /** Plans; takes nothing. */
  constructor(gpu: Gpu, program: Program, options: CompileOptions) {
    [this.#gpu, this.#program, this.#options] = [gpu, program, options];
    this.weights = new WeightStore(program, options.formats, gpu.bindingBytes);
    this.#caches = new Arena(gpu.bindingBytes);
    this.#places = new Map(program.caches.map((cache) => [cache, this.#caches.plan(cacheBytes(cache, options))]));
  }

  /** What a workgroup may have. */
  get workgroup(): { bytes: number; threads: number } {
    const { maxComputeWorkgroupStorageSize: bytes, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX } = this.#gpu.limits;
    return { bytes, threads: Math.min(maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX) };
  }

  /** Multiprocessors of the device, for how finely work is cut; a guess where they are not known. */
  get multiprocessors(): number {
    return this.#gpu.workgroups || 64;
  }

  /** Bytes of device memory. */
  get bytes(): number {
    const { weights, caches, others } = this.#sizes();
    return weights + caches + others;
  }

  /** @throws {DeviceError} when something does not fit the device's limits or memory; nothing is taken then. */
  async allocate(): Promise<void> {
    this.#checkLimits();
    const { device, name, pipelines } = this.#gpu, program = this.#program, options = this.#options;
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    this.inputs = new BatchInputs(device, program, options, this.multiprocessors);
    this.#buffers = program.buffers.map((buffer) => this.#storage(buffer.name, rowsOf(buffer.rows, options) * buffer.cols * 4));
    this.scratch = new Scratch(device, program, options);
    this.sampler = new TokenSampler(this.#gpu, program.logits.cols, options.maxOutputs, mostSteps, this.buffer(program.logits));
    const most = readbackBytes(program, options);
    this.readback = new Readback(device, Math.min(firstReadbackBytes, most), most);
    this.#caches.allocate(device, "kv");
    this.weights.allocate(device, pipelines);
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]), error = errors.find((found) => found !== null);
    if (error) {
      const { weights, caches, others } = this.#sizes();
      this.destroy();
      throw new DeviceError(
        `Cannot allocate ${inMiB(weights + caches + others)} on ${name} (weights ${inMiB(weights)}, KV cache ${inMiB(caches)}, \
activations ${inMiB(others)}): ${error.message.trim()}; quantize the weights, or ask for shorter contexts (maxModelLen)`,
      );
    }
  }

  buffer(buffer: Buffer): GPUBuffer {
    return this.#buffers[buffer.id];
  }

  cache(cache: Cache): Range {
    return this.#caches.range(this.#places.get(cache)!);
  }

  destroy(): void {
    this.inputs.destroy();
    this.scratch.destroy();
    this.sampler.destroy();
    this.weights.destroy();
    this.readback.destroy();
    this.#caches.destroy();
    for (const buffer of this.#plain) buffer.destroy();
  }

  #storage(label: string, bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const buffer = this.#gpu.device.createBuffer({ label, size: Math.max(16, Math.ceil(bytes / 16) * 16), usage });
    this.#plain.push(buffer);
    return buffer;
  }

  #sizes(): { weights: number; caches: number; others: number } {
    const program = this.#program, options = this.#options;
    const buffers = program.buffers.reduce((sum, buffer) => sum + rowsOf(buffer.rows, options) * buffer.cols * 4, 0);
    const others = buffers + Scratch.bytes(program, options) + BatchInputs.bytes(program, options) + readbackBytes(program, options) +
      TokenSampler.bytes(options.maxOutputs, mostSteps) + PersistentDecode.bytes(this.#gpu, program, options);
    return { weights: this.weights.bytes, caches: this.#caches.bytes, others };
  }

  #checkLimits(): void {
    const { name, bindingBytes, limits } = this.#gpu, program = this.#program, options = this.#options;
    for (const cache of program.caches) {
      const bytes = cacheBytes(cache, options);
      if (bytes <= bindingBytes) continue;
      const most = Math.floor(bindingBytes / bytes * options.blocks);
      throw new DeviceError(
        `Cannot allocate the KV cache: ${options.blocks * options.blockSize} tokens need ${inMiB(bytes)} a layer, ${name} binds ${
          inMiB(bindingBytes)
        }; ask for at most ${most * options.blockSize} tokens (maxModelLen, cacheBytes)`,
      );
    }
    for (const { name: label, rows, cols } of program.buffers) {
      const bytes = rowsOf(rows, options) * cols * 4;
      if (bytes <= bindingBytes) continue;
      throw new DeviceError(
        `Cannot allocate ${label}: ${rowsOf(rows, options)} rows need ${inMiB(bytes)}, ${name} binds ${
          inMiB(bindingBytes)
        }; compute fewer tokens in a step (maxNumBatchedTokens)`,
      );
    }
    const most = limits.maxComputeWorkgroupsPerDimension;
    if (options.maxRows > most) {
      throw new DeviceError(`Cannot compute ${options.maxRows} tokens in a step: ${name} takes ${most} workgroups; lower maxNumBatchedTokens`);
    }
  }
}

function rowsOf(kind: RowKind, options: CompileOptions): number {
  return kind === "tokens" ? options.maxRows : options.maxOutputs;
}

function cacheBytes(cache: Cache, options: CompileOptions): number {
  return options.blocks * options.blockSize * 2 * cache.kvHeads * cache.headDim * (options.cacheType === "f32" ? 4 : 2);
}

/** Tokens, and the logits of an output: more is reserved when more is read. */
const firstReadbackBytes = 2 ** 20;

/** Logits of all outputs, a token of each step of each, and what the persistent walk tells. */
function readbackBytes(program: Program, { maxOutputs }: CompileOptions): number {
  return maxOutputs * program.logits.cols * 4 + mostSteps * maxOutputs * 4 + 16;
}

function inMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
