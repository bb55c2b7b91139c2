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
  /** Tokens made by {@link FakeExecutable.decode}. */
  decoded = 0;
  /** Awaited in each step. */
  delay: () => Promise<void> = () => Promise.resolve();
  readonly #vocabSize: number;
  readonly #sizes: FakeSizes;
  /** Token and position of each slot; position -1: never written. */
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #logits: Float32Array;
  #isBusy = false;

  constructor(vocabSize: number, sizes: FakeSizes) {
    this.#vocabSize = vocabSize;
    this.#sizes = sizes;
    this.#tokens = new Int32Array(sizes.blocks * sizes.blockSize);
    this.#positions = new Int32Array(sizes.blocks * sizes.blockSize).fill(-1);
    this.#logits = new Float32Array(sizes.maxOutputs * vocabSize);
  }

  async execute(batch: Batch): Promise<Float32Array> {
    if (this.#isBusy) throw new Error("One batch at a time");
    if (batch.tokens.length > this.#sizes.maxRows) throw new Error("Too many rows");
    if (batch.contextLengths.length > this.#sizes.maxSequences) throw new Error("Too many sequences");
    this.#isBusy = true;
    await this.delay();
    this.#isBusy = false;
    if (++this.steps === this.failsAt) throw new DeviceError("The device was lost");
    this.mostRows = Math.max(this.mostRows, batch.tokens.length);
    batch.slots.forEach((slot, row) => {
      this.#tokens[slot] = batch.tokens[row];
      this.#positions[slot] = batch.rope[row * 2];
    });
    batch.outputRows.forEach((row, output) => {
      const logits = this.#logits.subarray(output * this.#vocabSize, (output + 1) * this.#vocabSize);
      const next = fakeNext(this.#visible(batch, row), this.#vocabSize);
      for (let id = 0; id < this.#vocabSize; id++) logits[id] = -((id - next + this.#vocabSize) % this.#vocabSize) / 4;
    });
    return this.#logits.subarray(0, batch.outputRows.length * this.#vocabSize);
  }

  async decode(
    { batch: { tokens: [token], contextLengths: [length], blockTables: blockTable, rope: first }, rope: rest, steps }: DecodeRequest,
  ): Promise<DecodeResult> {
    if (steps < 1 || steps > this.maxDecodeSteps) throw new Error(`Cannot make ${steps} tokens`);
    const { blockSize } = this.#sizes,
      position = length - 1,
      rope = Float32Array.of(...first, ...rest),
      tokens = Uint32Array.of(token, ...new Uint32Array(steps));
    for (let i = 0; i < steps; i++) {
      const at = position + i;
      const logits = await this.execute({
        tokens: tokens.subarray(i, i + 1),
        rope: rope.subarray(2 * i, 2 * i + 2),
        slots: Uint32Array.of(blockTable[Math.floor(at / blockSize)] * blockSize + at % blockSize),
        queryStarts: Uint32Array.of(0, 1),
        contextLengths: Uint32Array.of(at + 1),
        blockTables: blockTable,
        blocksPerSequence: blockTable.length,
        outputRows: Uint32Array.of(0),
      });
      tokens[i + 1] = logits.indexOf(0);
    }
    this.decoded += steps;
    return { tokens: tokens.subarray(1), logits: new Float32Array() };
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
