/**
 * The sampler of the host module.
 *
 * @module
 */
import type { HostSampler, PenaltyRow, SampledToken, SamplerRow } from "../engine/host.ts";
import { BatchSampler, type InitOutput } from "./generated/host_bindgen.gen.js";

/** Numbers that describe a row to the host module. */
const ROW_NUMBERS = 8;

/** {@link HostSampler} over an instance of the host module. */
export class WasmSampler implements HostSampler {
  #memory: WebAssembly.Memory;
  #sampler = new BatchSampler();
  /** The call of {@link penalize} that an id was last seen in: a set that is emptied by counting on. */
  #seen = new Uint32Array(0);
  #call = 0;

  /** @param wasm Exports of the instantiated module. */
  constructor(wasm: InitOutput) {
    this.#memory = wasm.memory;
  }

  penalize(logits: Float32Array, row: PenaltyRow): void {
    const { repetitionPenalty, frequencyPenalty, presencePenalty, promptTokenIds, outputTokenIds, logitBias } = row;
    if (!(repetitionPenalty > 0)) throw new RangeError(`Cannot use a repetition penalty of ${repetitionPenalty}: it must be above 0`);
    for (const [id, bias] of logitBias ?? []) {
      if (!(id >= 0 && id < logits.length)) throw new RangeError(`Cannot bias token ${id}: the vocabulary has ${logits.length} tokens`);
      logits[id] += bias;
    }
    if (repetitionPenalty !== 1) {
      this.#newCall(logits.length);
      for (const ids of [promptTokenIds, outputTokenIds]) {
        for (let i = 0; i < ids.length; i++) {
          const id = ids[i];
          if (this.#seen[id] === this.#call) continue;
          this.#seen[id] = this.#call;
          logits[id] = logits[id] < 0 ? logits[id] * repetitionPenalty : logits[id] / repetitionPenalty;
        }
      }
    }
    if (frequencyPenalty !== 0 || presencePenalty !== 0) {
      this.#newCall(logits.length);
      for (let i = 0; i < outputTokenIds.length; i++) {
        const id = outputTokenIds[i];
        logits[id] -= this.#seen[id] === this.#call ? frequencyPenalty : frequencyPenalty + presencePenalty;
        this.#seen[id] = this.#call;
      }
    }
  }

  logitsView(rows: number, vocabSize: number): Float32Array<ArrayBuffer> {
    const address = this.#sampler.logits(rows * vocabSize);
    return new Float32Array(this.#memory.buffer as ArrayBuffer, address, rows * vocabSize);
  }

  sample(logits: Float32Array, rows: readonly SamplerRow[]): SampledToken[] {
    if (rows.length === 0) return [];
    const vocabSize = logits.length / rows.length;
    if (!Number.isInteger(vocabSize) || vocabSize === 0) {
      throw new RangeError(`Cannot sample ${rows.length} rows from ${logits.length} logits: expected as many for each row`);
    }
    this.#writeRows(logits, rows, vocabSize);
    const most = rows.reduce((most, { logprobs = 0 }) => Math.max(most, Math.min(logprobs, vocabSize)), 0), stride = 2 + 2 * most;
    const address = this.#sampler.sample(rows.length, vocabSize, stride);
    const output = new Float64Array(this.#memory.buffer, address, rows.length * stride);
    return rows.map(({ logprobs }, i) => {
      const [tokenId, logprob, ...top] = output.subarray(i * stride, (i + 1) * stride);
      checkCode(tokenId, i);
      if (logprobs === undefined) return { tokenId };
      const count = Math.min(logprobs, vocabSize);
      return { tokenId, logprob, topLogprobs: Array.from({ length: count }, (_, j) => ({ tokenId: top[2 * j], logprob: top[2 * j + 1] })) };
    });
  }

  distribution(logits: Float32Array, row: SamplerRow): { readonly tokenId: number; readonly probability: number }[] {
    this.#writeRows(logits, [row], logits.length);
    const count = this.#sampler.distribution(logits.length);
    checkCode(count, 0);
    const pairs = new Float64Array(this.#memory.buffer, this.#sampler.output(), 2 * count);
    return Array.from({ length: count }, (_, i) => ({ tokenId: pairs[2 * i], probability: pairs[2 * i + 1] }));
  }

  #newCall(vocabSize: number): void {
    if (this.#seen.length < vocabSize || this.#call === 2 ** 32 - 1) {
      this.#seen = new Uint32Array(vocabSize);
      this.#call = 0;
    }
    this.#call++;
  }

  #writeRows(logits: Float32Array, rows: readonly SamplerRow[], vocabSize: number): void {
    rows.forEach(checkRow);
    const rowsAddress = this.#sampler.rows(rows.length), view = this.logitsView(rows.length, vocabSize);
    // Writing a view over itself would be a copy too.
    if (logits.buffer !== view.buffer || logits.byteOffset !== view.byteOffset) view.set(logits);
    const numbers = new Float64Array(this.#memory.buffer, rowsAddress, rows.length * ROW_NUMBERS);
    rows.forEach(({ temperature, topK, topP, minP, seed, position, logprobs = -1 }, i) => {
      const key = BigInt.asUintN(64, seed);
      numbers.set([temperature, topK, topP, minP, Number(key & 0xffffffffn), Number(key >> 32n), position, logprobs], i * ROW_NUMBERS);
    });
  }
}

function checkRow(row: SamplerRow, index: number): void {
  const check = (name: keyof SamplerRow, valid: boolean, expected: string) => {
    if (!valid) throw new RangeError(`Cannot sample row ${index}: ${name} must be ${expected}, got ${row[name]}`);
  };
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 0;
  check("temperature", row.temperature >= 0 && row.temperature < Infinity, "a number from 0 up");
  check("topK", whole(row.topK), "a whole number from 0 up");
  check("topP", row.topP >= 0 && row.topP <= 1, "in 0..1");
  check("minP", row.minP >= 0 && row.minP <= 1, "in 0..1");
  check("position", whole(row.position), "a whole number from 0 up");
  check("logprobs", row.logprobs === undefined || whole(row.logprobs), "a whole number from 0 up");
}

function checkCode(code: number, row: number): void {
  if (code === -1) throw new RangeError(`Cannot sample row ${row}: its logits have NaN`);
  if (code === -2) throw new RangeError(`Cannot sample row ${row}: all its logits are -Infinity`);
}
