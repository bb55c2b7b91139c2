/**
 * Draws the next tokens of a batch on the GPU: exactly what `Sampler.penalize` and `Sampler.sample` of `engine/host.ts` make of the same logits.
 *
 * @module
 */
import type { RowSampling } from "../engine/backend.ts";
import type { Gpu } from "./device.ts";
import { lowHalf, PenaltyEntries } from "./penalty_entries.ts";
import type { Kernel } from "./pipelines.ts";
import { bind } from "./step_recorder.ts";

/** Fields of struct `Row` in sample_row.wgsl, in its order, a word each. */
const rowFields = [
  ...["kind", "at", "stride", "topK", "topP", "minExponent", "times", "seedLow", "seedHigh", "positionLow", "positionHigh", "draw"] as const,
  ...["first", "entries", "repetition", "repetitionLow", "once", "onceLow", "frequency", "frequencyLow"] as const,
] as const;
const rowWords = rowFields.length;
/** Buckets of almost equal weights, and those in a factor of e (sample_weight.wgsl). */
const buckets = 2048, perNat = 64;
/** Shape of the workgroups of sample_buckets.wgsl: threads, and groups of four logits that each looks at. */
const sliceThreads = 256, sliceTurns = 4;
/** Columns that a workgroup of sample_peaks.wgsl takes. */
const peakColumns = 32;
/** Threads of the workgroups that take a row each, at most. */
const mostThreads = 1024;
/** Most logits of a row whose number and mass fit the words of a tally (sample_tally.wgsl). */
const mostLogits = 1_000_000;
/** In sample_row.wgsl, how a row becomes a token. */
const kinds = { none: 0, greedy: 1, drawn: 2 };

/** One dispatch of a step. */
interface Ready {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/** It, over so many workgroups. */
type Dispatched = readonly [ready: Ready, x: number, y: number];

/** The sampler of one program's logits. */
export class TokenSampler {
  /** `[steps, outputs]` what was drawn since {@link TokenSampler.prepare}, or `noToken` of `engine/backend.ts`. */
  readonly made: GPUBuffer;
  /** `[outputs]` the last of them; 0 where there is none. */
  readonly last: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #vocabSize: number;
  readonly #logits: GPUBuffer;
  readonly #rows: GPUBuffer;
  /** `[outputs, buckets]` sums of each row's weights. */
  readonly #tallies: GPUBuffer;
  readonly #factors: GPUBuffer;
  /** `[outputs]` and `[outputs, threads]` the largest logits. */
  readonly #tops: GPUBuffer;
  readonly #peaks: GPUBuffer;
  readonly #penalties: PenaltyEntries;
  /** The entries of penalties; grows with what requests ask for. */
  #entries: GPUBuffer;
  readonly #ready = new Map<string, Ready>();
  /** Dispatches of each step of the request. */
  #step: readonly Dispatched[] = [];

  /** Bytes of device memory; penalties take more. */
  static bytes(maxOutputs: number, maxSteps: number): number {
    return maxOutputs * 4 * (rowWords + 3 + mostThreads + maxSteps + 2 * buckets) + 8 * buckets;
  }

  /** @param logits `[maxOutputs, vocabSize]` f32; row i is output i. Penalties change it. */
  constructor(gpu: Gpu, vocabSize: number, maxOutputs: number, maxSteps: number, logits: GPUBuffer) {
    [this.#gpu, this.#vocabSize, this.#logits] = [gpu, vocabSize, logits];
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const storage = (label: string, bytes: number) => gpu.device.createBuffer({ label, size: Math.max(16, bytes), usage });
    this.made = storage("made tokens", maxSteps * maxOutputs * 4);
    this.last = storage("last tokens", maxOutputs * 4);
    this.#rows = storage("sampled rows", maxOutputs * rowWords * 4);
    this.#tallies = storage("sampled buckets", maxOutputs * buckets * 8);
    this.#factors = storage("bucket factors", buckets * 8);
    this.#tops = storage("row tops", maxOutputs * 8);
    this.#peaks = storage("row peaks", maxOutputs * this.#threads * 4);
    this.#entries = storage("penalties", 16);
    this.#penalties = new PenaltyEntries(vocabSize);
    gpu.device.queue.writeBuffer(this.#factors, 0, bucketFactors());
  }

  /**
   * Uploads how the rows of a request are drawn, and compiles what they need.
   *
   * @param sampling For each output; undefined: no token is wanted.
   * @param steps Most calls of {@link TokenSampler.record} until the next request.
   * @throws {RangeError} when penalties make no sense, as `Sampler.penalize` does, or the vocabulary has more than a million tokens.
   */
  async prepare(sampling: readonly (RowSampling | undefined)[], steps: number): Promise<void> {
    const outputs = sampling.length, words = new Uint32Array(outputs * rowWords), rows = [this.#rows, this.made, this.last], threads = this.#threads;
    if (this.#vocabSize > mostLogits) throw new RangeError(`Cannot draw from ${this.#vocabSize} logits on the GPU: at most ${mostLogits}; draw on the host`);
    this.#penalties.clear();
    sampling.forEach((row, i) => {
      const entries = row?.penalties && this.#penalties.add(row.penalties, steps);
      words.set(rowSettings(row, i, outputs, this.#vocabSize, entries), i * rowWords);
    });
    const step: Dispatched[] = [], { words: entries } = this.#penalties;
    if (entries.length > 0) {
      this.#growEntries(entries.byteLength);
      step.push([await this.#compile("penalize", ["sample_row"], "wwrw", [this.#rows, this.made, this.#entries], { threads }), outputs, 1]);
    }
    const logits = this.#vocabSize % 4 === 0 ? "sample_logits_4" : "sample_logits_1", lanes = this.#lanes(threads), kind = lanes ? "subgroups" : "plain";
    if (sampling.some((row) => !row || row.temperature === 0)) {
      const parts = [logits, "sample_row", "sample_made", `sample_first_${kind}`];
      step.push([await this.#compile("sample_maximum", parts, "rwww", rows, { threads, ...lanes }), outputs, 1]);
    }
    if (sampling.some((row) => row && row.temperature > 0)) {
      const order = [logits, "sample_row", "sample_order"], slices = Math.ceil(this.#vocabSize / (4 * sliceThreads * sliceTurns));
      const peaks = this.#compile("sample_peaks", order, "rrww", [this.#rows, this.#tops, this.#peaks], { cells: threads });
      step.push([await peaks, Math.ceil(threads / peakColumns), outputs]);
      const weighing = [...order, "sample_weight", "sample_tally", "sample_wide"], cells = { threads: sliceThreads, turns: sliceTurns, cells: buckets };
      const sums = this.#compile("sample_buckets", [...weighing, "sample_philox"], "rwrw", [this.#rows, this.#tops, this.#tallies], cells);
      step.push([await sums, slices, outputs]);
      const drawing = [...weighing, "sample_made", "sample_scan", `sample_${kind}`, "sample_visit", "sample_narrow", "sample_descend"];
      const buffers = [...rows, this.#tallies, this.#factors, this.#tops, this.#peaks];
      step.push([await this.#compile("sample_draw", drawing, "rwwwwrwr", buffers, { cells: threads, ...lanes }), outputs, 1]);
    }
    const { queue } = this.#gpu.device;
    queue.writeBuffer(this.#rows, 0, words);
    if (entries.length > 0) queue.writeBuffer(this.#entries, 0, entries);
    this.#step = step;
  }

  /** Records the drawing of one token of each row into an open pass; each call the next step's. */
  record(pass: GPUComputePassEncoder): void {
    for (const [{ pipeline, group }, x, y] of this.#step) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(x, y);
    }
  }

  /** Frees its memory. */
  destroy(): void {
    for (const buffer of [this.made, this.last, this.#rows, this.#tallies, this.#factors, this.#tops, this.#peaks, this.#entries]) buffer.destroy();
  }

  /** Threads of the workgroups that take a row each: as many as there may be, but where subgroups are narrow, barriers cost more than threads gain. */
  get #threads(): number {
    const { limits: { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX, maxComputeWorkgroupStorageSize }, subgroupSize } = this.#gpu;
    // sample_draw.wgsl keeps 5 words a thread.
    const room = (maxComputeWorkgroupStorageSize - 512) / 20;
    return 2 **
      Math.floor(Math.log2(Math.min(mostThreads, 32 * subgroupSize || mostThreads, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX, room)));
  }

  /** Lanes of a subgroup, where they help: a subgroup's worth of subgroups makes the workgroup. */
  #lanes(threads: number): { lanes: number } | undefined {
    const { subgroups, subgroupSize } = this.#gpu;
    return subgroups && subgroupSize >= 8 && threads >= subgroupSize && threads <= subgroupSize ** 2 ? { lanes: subgroupSize } : undefined;
  }

  #growEntries(bytes: number): void {
    if (bytes <= this.#entries.size) return;
    this.#entries.destroy();
    this.#entries = this.#gpu.device.createBuffer({ label: "penalties", size: 2 * bytes, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
    this.#ready.delete("penalize");
  }

  async #compile(
    name: string,
    more: readonly string[],
    access: string,
    buffers: readonly GPUBuffer[],
    constants: Record<string, number>,
  ): Promise<Ready> {
    const found = this.#ready.get(name);
    if (found) return found;
    const kernel: Kernel = { name, parts: [name, ...more], access, constants: { ...constants, vocab: this.#vocabSize } };
    const { pipeline, layout } = await this.#gpu.pipelines.get(kernel);
    const ready = { pipeline, group: bind(this.#gpu.device, layout, [this.#logits, ...buffers], name) };
    this.#ready.set(name, ready);
    return ready;
  }
}

/** Words of struct `Row`. */
function rowSettings(
  row: RowSampling | undefined,
  output: number,
  outputs: number,
  vocabSize: number,
  entries?: { readonly first: number; readonly count: number },
): Uint32Array {
  const words = new Uint32Array(rowWords), floats = new Float32Array(words.buffer);
  put(words, { kind: kinds.none, at: output, stride: outputs, first: entries?.first ?? 2 ** 32 - 1 });
  if (!row) return words;
  const { temperature, topK, topP, minP, seed, position } = row, key = BigInt.asUintN(64, seed);
  put(words, {
    kind: temperature === 0 ? kinds.greedy : kinds.drawn,
    topK: topK < vocabSize ? topK : 0,
    topP: topP < 1 ? Math.min(Math.floor(topP * 2 ** 32), 2 ** 32 - 2) : 2 ** 32 - 1,
    seedLow: Number(key & 0xffff_ffffn),
    seedHigh: Number(key >> 32n),
    positionLow: position,
    positionHigh: Math.floor(position / 2 ** 32),
  });
  put(floats, {
    // The host's weights are f32: what rounds to minP stays.
    minExponent: minP > 0 ? Math.log(minP) - 2 ** -25 : -3e38,
    times: Math.min(Math.max(1 / temperature, 2 ** -126), 3.4028234663852886e38),
  });
  if (entries) {
    const { repetitionPenalty: repetition, frequencyPenalty: frequency, presencePenalty } = row.penalties!, once = frequency + presencePenalty;
    put(words, { entries: entries.count });
    put(floats, { repetition, repetitionLow: lowHalf(repetition), once, onceLow: lowHalf(once), frequency, frequencyLow: lowHalf(frequency) });
  }
  return words;
}

/** Puts fields of a row into their places. */
function put(row: Uint32Array | Float32Array, fields: Partial<Record<(typeof rowFields)[number], number>>): void {
  for (const [name, value] of Object.entries(fields)) row[rowFields.indexOf(name as (typeof rowFields)[number])] = value;
}

/** For each bucket, x and y with `e^(-bucket / 64) * 2^20 = x / 2^y`, x of 32 bits; 0 where nothing of it counts. */
function bucketFactors(): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(2 * buckets);
  for (let bucket = 0; bucket < buckets; bucket++) {
    const weight = Math.exp(-bucket / perNat), exponent = Math.floor(Math.log2(weight)), shift = 11 - exponent;
    words.set(shift < 64 ? [Math.min(Math.round(weight * 2 ** (31 - exponent)), 2 ** 32 - 1), shift] : [0, 32], 2 * bucket);
  }
  return words;
}
