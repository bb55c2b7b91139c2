/**
 * The contract of decoding on a device, as one step after the other with the host's sampler: what devices are compared with, and what fakes do.
 *
 * @module
 */
import { type DecodeRequest, type DecodeResult, noToken, type RowSampling } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Sampler } from "../engine/host.ts";

/** What {@link decodeBySteps} runs on. */
export interface StepDevice {
  /** Runs one step; its logits `[outputs, vocabSize]`. */
  readonly execute: (batch: Batch) => Promise<Float32Array>;
  readonly sampler: Sampler;
  readonly blockSize: number;
}

/**
 * What `Executable.decode` must give.
 *
 * @throws {Error} when a request is not as {@link DecodeRequest} says.
 */
export async function decodeBySteps(request: DecodeRequest, { execute, sampler, blockSize }: StepDevice): Promise<DecodeResult> {
  checkRequest(request, blockSize);
  const { sampling, steps } = request, outputs = sampling.length, tokens = new Uint32Array(steps * outputs);
  let { batch } = request, logits = new Float32Array();
  for (let step = 0; step < steps; step++) {
    const all = await execute(batch), vocabSize = all.length / outputs, rowOf = (i: number) => all.slice(i * vocabSize, (i + 1) * vocabSize);
    if (step === 0) logits = Float32Array.from(sampling.flatMap((row, i) => row === undefined ? [...rowOf(i)] : []));
    sampling.forEach((row, i) => {
      const before = Array.from({ length: step }, (_, earlier) => tokens[earlier * outputs + i]);
      tokens[step * outputs + i] = row === undefined || before.includes(noToken) ? noToken : draw(sampler, row, rowOf(i), before);
    });
    if (step + 1 < steps) batch = nextBatch(request, batch, tokens.subarray(step * outputs, (step + 1) * outputs), step, blockSize);
  }
  return { tokens, logits };
}

/** @param before Tokens of earlier steps of the request. */
function draw(sampler: Sampler, { penalties, ...row }: RowSampling, logits: Float32Array, before: number[]): number {
  if (penalties) sampler.penalize(logits, { ...penalties, outputTokenIds: [...Array.from(penalties.outputTokenIds), ...before] });
  try {
    return sampler.sample(logits, [{ ...row, position: row.position + before.length }])[0].tokenId;
  } catch (error) {
    if (error instanceof RangeError) return noToken;
    throw error;
  }
}

function nextBatch(request: DecodeRequest, batch: Batch, tokens: Uint32Array, step: number, blockSize: number): Batch {
  const { blockTables, blocksPerSequence, contextLengths } = batch, ropeSize = request.rope.length / (request.steps - 1);
  return {
    ...batch,
    tokens: tokens.map((token) => token === noToken ? 0 : token),
    rope: request.rope.subarray(step * ropeSize, (step + 1) * ropeSize),
    slots: contextLengths.map((at, i) => blockTables[i * blocksPerSequence + Math.floor(at / blockSize)] * blockSize + at % blockSize),
    contextLengths: contextLengths.map((length) => length + 1),
  };
}

function checkRequest({ batch, sampling, steps, rope }: DecodeRequest, blockSize: number): void {
  const { tokens, outputRows, contextLengths, blocksPerSequence } = batch,
    check = (holds: boolean, what: string) => {
      if (!holds) throw new Error(`Bad request: ${what}`);
    };
  check(Number.isInteger(steps) && steps >= 1, `${steps} steps`);
  check(sampling.length === outputRows.length, "a sampling for each output");
  check(rope.length === batch.rope.length / tokens.length * (steps - 1) * sampling.length, "rotations for each step and output");
  if (steps === 1) return;
  const isAhead = tokens.length === contextLengths.length && outputRows.length === tokens.length && !sampling.includes(undefined);
  check(isAhead, "several steps where not every sequence has one row that is drawn on the device");
  check(contextLengths.every((length) => length + steps - 1 <= blocksPerSequence * blockSize), "a block table without room");
}
