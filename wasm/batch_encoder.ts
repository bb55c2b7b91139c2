/**
 * Checks a batch and lays it out as the words and arrays that the crate reads.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import { batchWords } from "./control.ts";

export { batchWords };

/** What a compiled program has room for. */
export interface BatchLimits extends Pick<CompileOptions, "maxRows" | "maxOutputs" | "maxSequences" | "maxContext" | "blockSize" | "blocks"> {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Columns of `rope`. */
  readonly headDim: number;
}

const HEADER_BYTES = 64;
const align = (bytes: number) => Math.ceil(bytes / 16) * 16;

/** Bytes of the largest batch, embeddings apart. */
export function batchBytes({ maxRows, maxOutputs, maxSequences, maxContext, blockSize, headDim }: BatchLimits): number {
  const tables = maxSequences * Math.ceil(maxContext / blockSize);
  const counts = [maxRows, maxRows * headDim, maxRows, maxSequences + 1, maxSequences, tables, maxOutputs];
  return counts.reduce((sum, count) => sum + align(4 * count), HEADER_BYTES);
}

function check(batch: Batch, limits: BatchLimits): void {
  const { tokens, rope, slots, queryStarts, contextLengths, blockTables, blocksPerSequence, outputRows, inputsEmbeds } = batch;
  const rows = inputsEmbeds ? inputsEmbeds.length / limits.hiddenSize : tokens.length, sequences = contextLengths.length;
  const refuse = (why: string): never => {
    throw new RangeError(`Cannot execute the batch: ${why}`);
  };
  const atMost = (what: string, count: number, most: number) => count > most && refuse(`${count} ${what}, at most ${most} fit`);
  const exactly = (what: string, length: number, wanted: number) => length !== wanted && refuse(`${what} has ${length} values, expected ${wanted}`);
  if (rows === 0) refuse("it has no rows");
  atMost("rows", rows, limits.maxRows);
  atMost("output rows", outputRows.length, limits.maxOutputs);
  atMost("sequences", sequences, limits.maxSequences);
  if (inputsEmbeds) exactly("inputsEmbeds", inputsEmbeds.length, slots.length * limits.hiddenSize);
  exactly("rope", rope.length, rows * limits.headDim);
  exactly("slots", slots.length, rows);
  exactly("queryStarts", queryStarts.length, sequences + 1);
  exactly("blockTables", blockTables.length, sequences * blocksPerSequence);
  exactly("the last of queryStarts", queryStarts[sequences], rows);
  if (!inputsEmbeds) tokens.forEach((token) => token < limits.vocabSize || refuse(`token ${token} is outside the vocabulary of ${limits.vocabSize}`));
  const slotCount = limits.blocks * limits.blockSize;
  slots.forEach((slot) => slot < slotCount || refuse(`slot ${slot} is outside the cache of ${slotCount}`));
  outputRows.forEach((row) => row < rows || refuse(`output row ${row} is not one of its ${rows} rows`));
  for (let s = 0; s < sequences; s++) {
    const context = contextLengths[s], count = queryStarts[s + 1] - queryStarts[s], blocks = Math.ceil(context / limits.blockSize);
    if (count < 1 || count > context) refuse(`sequence ${s} has ${count} rows and a context of ${context}`);
    atMost(`tokens in sequence ${s}`, context, limits.maxContext);
    atMost(`blocks in sequence ${s}`, blocks, blocksPerSequence);
    for (let b = 0; b < blocks; b++) {
      const block = blockTables[s * blocksPerSequence + b];
      if (block >= limits.blocks) refuse(`block ${block} of sequence ${s} is outside the cache of ${limits.blocks}`);
    }
  }
}

/**
 * Writes a batch to the start of `to`, its embeddings (if any) after it.
 *
 * @param address Where the batch will lie in every memory.
 * @returns Bytes without the embeddings.
 * @throws {RangeError} when it does not fit or names what does not exist.
 */
export function encodeBatch(batch: Batch, limits: BatchLimits, address: number, to: Uint8Array): number {
  check(batch, limits);
  const { tokens, rope, slots, queryStarts, contextLengths, blockTables, blocksPerSequence, outputRows, inputsEmbeds } = batch;
  let at = HEADER_BYTES;
  const put = (array: Uint32Array | Float32Array): number => {
    const start = at;
    to.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), start);
    at = align(start + array.byteLength);
    return address + start;
  };
  // As many columns of the tables as this batch needs.
  const width = Math.ceil(contextLengths.reduce((a, b) => Math.max(a, b), 0) / limits.blockSize);
  const tables = new Uint32Array(contextLengths.length * width);
  for (let s = 0; s < contextLengths.length; s++) tables.set(blockTables.subarray(s * blocksPerSequence, s * blocksPerSequence + width), s * width);
  const arrays = [tokens, rope, slots, queryStarts, contextLengths, tables, outputRows].map(put);
  const words: Record<(typeof batchWords)[number], number> = {
    rows: slots.length,
    outputs: outputRows.length,
    sequences: contextLengths.length,
    blocksPerSequence: width,
    embedded: inputsEmbeds?.byteLength ?? 0,
    tokens: arrays[0],
    rope: arrays[1],
    slots: arrays[2],
    queryStarts: arrays[3],
    contextLengths: arrays[4],
    blockTables: arrays[5],
    outputRows: arrays[6],
  };
  new Uint32Array(to.buffer, to.byteOffset, batchWords.length).set(batchWords.map((name) => words[name]));
  if (inputsEmbeds) to.set(new Uint8Array(inputsEmbeds.buffer, inputsEmbeds.byteOffset, inputsEmbeds.byteLength), at);
  return at;
}
