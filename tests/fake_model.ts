/**
 * A model without arithmetic for tests of whatever schedules: the next token is a hash of every token that the row can see, in order. It reads them
 * through block tables from the cache that it writes through slots, so that one wrong slot, block, length or position gives other tokens.
 *
 * @module
 */
import { type CompileOptions, type DecodeRequest, type DecodeResult, DeviceError, type Executable } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { BpeTokenizer, Detokenizer, SampledToken, Sampler } from "../engine/host.ts";
import type { RopeRows } from "../engine/model_runner.ts";
import { decodeBySteps } from "./decode_by_steps.ts";

/** Sizes that a {@link FakeExecutable} needs. */
export type FakeSizes = Pick<CompileOptions, "blocks" | "blockSize" | "maxRows" | "maxOutputs" | "maxSequences">;

/** Rotations that are just the position. */
export const fakeRope: RopeRows = {
  headDim: 2,
  inverseFrequencies: () => Float32Array.of(1),
  fill(out, row, position, sequenceLength) {
    out[row * 2] = position;
    out[row * 2 + 1] = sequenceLength;
  },
};

/** What the fake model continues a text with. */
export function fakeNext(tokens: readonly number[], vocabSize: number): number {
  let hash = 17;
  tokens.forEach((token, position) => hash = mix(mix(hash, token), position));
  return (hash >>> 0) % vocabSize;
}

function mix(hash: number, value: number): number {
  const mixed = Math.imul(hash ^ value, 0x9e3779b1);
  return mixed ^ mixed >>> 13;
}

/** The fake model on a fake device; steps take as long as `delay` says. */
export class FakeExecutable implements Executable {
  /** Batches executed. */
  steps = 0;
  /** Rows of the largest batch. */
  mostRows = 0;
  /** The step, counted from 1, at which the device fails. */
  failsAt = Infinity;
  /** Tokens of one {@link FakeExecutable.decode}; 0: it cannot. */
  maxDecodeSteps = 0;
  /** Set to let it draw from logits that were changed. */
  draw?: Executable["draw"];
  /** Tokens drawn in {@link FakeExecutable.decode}. */
  drawn = 0;
  /** Most steps of one. */
  mostSteps = 0;
  /** Texts after which there are no numbers. */
  isBad: (tokens: readonly number[]) => boolean = () => false;
  /** Awaited in each step. */
  delay: () => Promise<void> = () => Promise.resolve();
  readonly #vocabSize: number;
  readonly #sizes: FakeSizes;
  readonly #sampler: Sampler;
  /** Token and position of each slot; position -1: never written. */
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #logits: Float32Array;
  #isBusy = false;

  constructor(vocabSize: number, sizes: FakeSizes, sampler: Sampler = fakeSampler) {
    this.#vocabSize = vocabSize;
    this.#sizes = sizes;
    this.#sampler = sampler;
    this.#tokens = new Int32Array(sizes.blocks * sizes.blockSize);
    this.#positions = new Int32Array(sizes.blocks * sizes.blockSize).fill(-1);
    this.#logits = new Float32Array(sizes.maxOutputs * vocabSize);
  }

  execute(batch: Batch): Promise<Float32Array> {
    return this.#alone(() => this.#run(batch));
  }

  decode(request: DecodeRequest): Promise<DecodeResult> {
    if (request.steps > this.maxDecodeSteps) throw new Error(`Cannot make ${request.steps} tokens`);
    this.drawn += request.steps * request.sampling.filter((row) => row !== undefined).length;
    this.mostSteps = Math.max(this.mostSteps, request.steps);
    return this.#alone(() => decodeBySteps(request, { execute: (batch) => this.#run(batch), sampler: this.#sampler, blockSize: this.#sizes.blockSize }));
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw new Error("One batch at a time");
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }

  async #run(batch: Batch): Promise<Float32Array> {
    if (batch.tokens.length > this.#sizes.maxRows) throw new Error("Too many rows");
    if (batch.contextLengths.length > this.#sizes.maxSequences) throw new Error("Too many sequences");
    await this.delay();
    if (++this.steps === this.failsAt) throw new DeviceError("The device was lost");
    this.mostRows = Math.max(this.mostRows, batch.tokens.length);
    batch.slots.forEach((slot, row) => {
      this.#tokens[slot] = batch.tokens[row];
      this.#positions[slot] = batch.rope[row * 2];
    });
    batch.outputRows.forEach((row, output) => {
      const logits = this.#logits.subarray(output * this.#vocabSize, (output + 1) * this.#vocabSize), visible = this.#visible(batch, row);
      const next = fakeNext(visible, this.#vocabSize);
      for (let id = 0; id < this.#vocabSize; id++) logits[id] = -((id - next + this.#vocabSize) % this.#vocabSize) / 4;
      if (this.isBad(visible)) logits.fill(NaN);
    });
    return this.#logits.subarray(0, batch.outputRows.length * this.#vocabSize);
  }

  /** Tokens that a row sees, read as attention reads keys. */
  #visible(batch: Batch, row: number): number[] {
    const sequence = batch.queryStarts.findLastIndex((start) => start <= row), { blockSize } = this.#sizes;
    const length = batch.contextLengths[sequence] - (batch.queryStarts[sequence + 1] - 1 - row);
    return Array.from({ length }, (_, position) => {
      const block = batch.blockTables[sequence * batch.blocksPerSequence + Math.floor(position / blockSize)];
      const slot = block * blockSize + position % blockSize;
      if (this.#positions[slot] !== position) throw new Error(`Row ${row} reads position ${position} from a slot that holds ${this.#positions[slot]}`);
      return this.#tokens[slot];
    });
  }

  writeRows(): void {}
  finishWeights(): Promise<void> {
    return Promise.resolve();
  }
  read(): Promise<Float32Array> {
    return Promise.reject(new Error("The fake model has no buffers"));
  }
  close(): void {}
}

/** Greedy, or drawn by a hash of seed and position from the four likeliest tokens. */
export const fakeSampler: Sampler = {
  penalize(logits, row) {
    for (const [id, bias] of row.logitBias ?? []) logits[id] += bias;
    for (const id of row.promptTokenIds as number[]) logits[id] /= row.repetitionPenalty;
    for (const id of row.outputTokenIds as number[]) logits[id] -= row.presencePenalty;
  },
  sample(logits, rows) {
    const vocabSize = logits.length / rows.length;
    return rows.map((row, i): SampledToken => {
      const values = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
      if (!values.some(Number.isFinite)) throw new RangeError(`Cannot sample row ${i}: no logit is finite`);
      const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
      const tokenId = order[row.temperature === 0 ? 0 : mix(mix(Number(row.seed & 0xffffffffn), row.position), 5) >>> 30];
      if (row.logprobs === undefined) return { tokenId };
      const total = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
      const logprob = (id: number) => values[id] - total;
      return { tokenId, logprob: logprob(tokenId), topLogprobs: order.slice(0, row.logprobs).map((id) => ({ tokenId: id, logprob: logprob(id) })) };
    });
  },
};

/** Token `i` reads as the `i`-th letter from `a`; counts its detokenizers, which must all be freed. */
export class FakeTokenizer implements Pick<BpeTokenizer, "detokenizer"> {
  /** Detokenizers that are not freed. */
  live = 0;

  detokenizer(): Detokenizer {
    this.live++;
    return { push: (id) => letter(id), flush: () => "", free: () => void this.live-- };
  }
}

/** Text of a token of {@link FakeTokenizer}. */
export function letter(id: number): string {
  return String.fromCharCode(97 + id);
}
