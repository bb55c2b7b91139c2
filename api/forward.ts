/**
 * `forward`: logits and loss of given tokens, as the model classes of Transformers return them.
 *
 * @module
 */
import type { CompileOptions, Executable } from "../engine/backend.ts";
import type { BlockPool } from "../engine/block_pool.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import type { RopeTable } from "../engine/rope.ts";
import { inWords, requireOptions } from "./arguments.ts";

/** Numbers in row-major order. */
export interface Tensor {
  /** The numbers. */
  readonly data: Float32Array;
  /** Outermost dimension first. */
  readonly shape: number[];
}

/** Token ids of one text, or of several of equal length. */
export type TokenIds = readonly number[] | readonly (readonly number[])[];
type Rows = readonly (readonly number[])[];

/** Arguments of `forward`: B texts of T columns. */
export interface ForwardInputs {
  /** `[B, T]` token ids. */
  inputIds?: TokenIds;
  /** `[B, T, hiddenSize]` rows in place of the embedding table's. */
  inputsEmbeds?: Tensor;
  /** `[B, T]` 1 for tokens, 0 for padding, which nobody sees and whose logits are 0. */
  attentionMask?: TokenIds;
  /** `[B, T]` positions; left out: the column, padding included. */
  positionIds?: TokenIds;
  /** `[B, T]` wanted token ids, -100 where none counts; each is compared with the logits of the column before it, unless that is padding. */
  labels?: TokenIds;
  /** Columns whose logits are wanted: the last n, or the listed ones; 0 or left out: all. */
  logitsToKeep?: number | readonly number[];
  /** Not supported yet. */
  useCache?: boolean;
  /** Not supported yet. */
  pastKeyValues?: unknown;
  /** Not supported yet. */
  outputHiddenStates?: boolean;
  /** Not supported yet. */
  outputAttentions?: boolean;
}

/** What `forward` returns. */
export interface CausalLMOutput {
  /** `[B, columns, vocabSize]`. */
  readonly logits: Tensor;
  /** Mean cross entropy, when labels were given. */
  readonly loss?: number;
}

/** What `forward` runs on. */
export interface ForwardContext {
  readonly config: SmolLM3Config;
  readonly executable: Executable;
  readonly pool: BlockPool;
  readonly rope: RopeTable;
  readonly options: Pick<CompileOptions, "maxRows" | "maxOutputs" | "maxContext">;
}

/**
 * Runs texts one after the other, each in chunks that the executable was compiled for. Nothing else may use the executable meanwhile.
 *
 * @throws {TypeError} when arguments are missing, contradict each other or have unequal shapes.
 * @throws {RangeError} when a token id does not exist or a text does not fit into the KV cache.
 */
export async function forward(inputs: ForwardInputs, context: ForwardContext): Promise<CausalLMOutput> {
  requireOptions("forward", inputs);
  refuseUnsupported(inputs);
  const { vocabSize, hiddenSize } = context.config;
  const { batch, columns, tokens } = shapeOf(inputs, context.config);
  const mask = matrix("attentionMask", inputs.attentionMask, batch, columns);
  const positions = matrix("positionIds", inputs.positionIds, batch, columns);
  positions?.forEach((row, b) =>
    row.forEach((position, column) => {
      if (!(Number.isSafeInteger(position) && position >= 0)) {
        throw new RangeError(`positionIds[${b}][${column}] is ${position}, expected a whole number from 0 up`);
      }
    })
  );
  const labels = matrix("labels", inputs.labels, batch, columns);
  const kept = keptColumns(inputs.logitsToKeep, columns);
  if (labels !== undefined && kept.length !== columns) throw new TypeError("Cannot compute a loss with logitsToKeep: leave one of the two out");
  const logits = new Float32Array(batch * kept.length * vocabSize);
  for (let row = 0; row < batch; row++) {
    const visible = Array.from({ length: columns }, (_, column) => column).filter((column) => mask === undefined || mask[row][column] !== 0);
    checkWindow(context.config, visible);
    await forwardRow(
      {
        tokens: visible.map((column) => tokens?.[row][column] ?? 0),
        positions: visible.map((column) => positions?.[row][column] ?? column),
        embeds: inputs.inputsEmbeds &&
          visible.map((column) => inputs.inputsEmbeds!.data.subarray((row * columns + column) * hiddenSize).subarray(0, hiddenSize)),
        // Places in `kept` of each visible column; a column may be listed twice.
        outputs: visible.map((column) => kept.flatMap((wanted, place) => wanted === column ? [place] : [])),
      },
      context,
      (place, values) => logits.set(values, (row * kept.length + place) * vocabSize),
    );
  }
  const output = { logits: { data: logits, shape: [batch, kept.length, vocabSize] } };
  return labels === undefined ? output : { ...output, loss: crossEntropy(logits, labels, mask, vocabSize) };
}

/** The visible tokens of one text. */
interface Row {
  readonly tokens: readonly number[];
  readonly positions: readonly number[];
  readonly embeds?: readonly Float32Array[];
  readonly outputs: readonly (readonly number[])[];
}

async function forwardRow(row: Row, { config, executable, pool, rope, options }: ForwardContext, emit: (place: number, values: Float32Array) => void) {
  const { headDim, hiddenSize, vocabSize } = config, { blockSize } = pool, length = row.tokens.length;
  const needed = Math.ceil(length / blockSize);
  if (length > options.maxContext || needed > pool.free) {
    const room = Math.min(options.maxContext, pool.free * blockSize);
    throw new RangeError(`Cannot run ${length} tokens: the KV cache has room for ${room}, raise cacheBytes or maxModelLen when loading`);
  }
  const sequenceLength = row.positions.reduce((most, position) => Math.max(most, position + 1), 0);
  const blocks = Uint32Array.from({ length: needed }, () => pool.allocate());
  try {
    for (let start = 0; start < length;) {
      let end = start, outputs = 0;
      while (end < length && end - start < options.maxRows && outputs + (row.outputs[end].length > 0 ? 1 : 0) <= options.maxOutputs) {
        outputs += row.outputs[end++].length > 0 ? 1 : 0;
      }
      const rows = Array.from({ length: end - start }, (_, i) => start + i);
      const outputRows = rows.filter((at) => row.outputs[at].length > 0);
      const ropes = new Float32Array(rows.length * headDim);
      rows.forEach((at, i) => rope.fill(ropes, i, row.positions[at], sequenceLength));
      const inputsEmbeds = row.embeds && new Float32Array(rows.length * hiddenSize);
      if (inputsEmbeds) rows.forEach((at, i) => inputsEmbeds.set(row.embeds![at], i * hiddenSize));
      const logits = await executable.execute({
        tokens: Uint32Array.from(rows, (at) => row.tokens[at]),
        rope: ropes,
        slots: Uint32Array.from(rows, (at) => blocks[Math.floor(at / blockSize)] * blockSize + at % blockSize),
        queryStarts: Uint32Array.of(0, rows.length),
        contextLengths: Uint32Array.of(end),
        blockTables: blocks,
        blocksPerSequence: needed,
        outputRows: Uint32Array.from(outputRows, (at) => at - start),
        ...(inputsEmbeds && { inputsEmbeds }),
      });
      outputRows.forEach((at, i) => {
        for (const place of row.outputs[at]) emit(place, logits.subarray(i * vocabSize, (i + 1) * vocabSize));
      });
      start = end;
    }
  } finally {
    for (const block of blocks) pool.release(block);
  }
}

/**
 * Mean over the labels that count of -log softmax(logits)[label], each label against the column before it. A label after padding does not count:
 * nothing predicts it. (Transformers compares it with what attention over the whole row gives.)
 */
function crossEntropy(logits: Float32Array, labels: Rows, mask: Rows | undefined, vocabSize: number): number {
  let sum = 0, count = 0;
  labels.forEach((row, b) => {
    for (let column = 1; column < row.length; column++) {
      const label = row[column];
      if (label === -100 || mask?.[b][column - 1] === 0) continue;
      if (!(label >= 0 && label < vocabSize)) throw new RangeError(`labels[${b}][${column}] is ${label}, expected -100 or a token id below ${vocabSize}`);
      const start = (b * row.length + column - 1) * vocabSize, values = logits.subarray(start, start + vocabSize);
      let max = -Infinity, total = 0;
      for (const value of values) max = Math.max(max, value);
      for (const value of values) total += Math.exp(value - max);
      sum += Math.log(total) + max - values[label];
      count++;
    }
  });
  return sum / count;
}

const known = new Set<string>([
  ...["inputIds", "inputsEmbeds", "attentionMask", "positionIds", "labels", "logitsToKeep"],
  ...["useCache", "pastKeyValues", "outputHiddenStates", "outputAttentions"],
]);

function refuseUnsupported(inputs: ForwardInputs): void {
  const unknown = Object.keys(inputs).find((name) => !known.has(name));
  if (unknown !== undefined) throw new TypeError(`Unknown argument ${unknown} of forward: expected one of ${[...known].join(", ")}`);
  if (inputs.pastKeyValues !== undefined && inputs.pastKeyValues !== null) throw new TypeError("forward does not support pastKeyValues yet, leave it out");
  for (const name of ["useCache", "outputHiddenStates", "outputAttentions"] as const) {
    if (inputs[name]) throw new TypeError(`forward does not support ${name} yet, leave it out`);
  }
}

function shapeOf({ inputIds, inputsEmbeds }: ForwardInputs, { hiddenSize, vocabSize }: SmolLM3Config) {
  if ((inputIds === undefined) === (inputsEmbeds === undefined)) throw new TypeError("forward needs exactly one of inputIds and inputsEmbeds");
  if (inputsEmbeds !== undefined) {
    const [batch, columns, size] = inputsEmbeds.shape;
    if (inputsEmbeds.shape.length !== 3 || size !== hiddenSize || inputsEmbeds.data.length !== batch * columns * size) {
      throw new TypeError(`inputsEmbeds must be [batch, columns, ${hiddenSize}], got [${inputsEmbeds.shape}] with ${inputsEmbeds.data.length} values`);
    }
    return { batch, columns, tokens: undefined };
  }
  const tokens = rowsOf("inputIds", inputIds!), columns = tokens[0]?.length ?? 0;
  if (columns === 0) throw new TypeError("inputIds must hold at least one token");
  matrix("inputIds", tokens, tokens.length, columns);
  tokens.forEach((row, b) =>
    row.forEach((id, column) => {
      if (!(Number.isInteger(id) && id >= 0 && id < vocabSize)) {
        throw new RangeError(`inputIds[${b}][${column}] is ${id}, expected a token id from 0 to ${vocabSize - 1}`);
      }
    })
  );
  return { batch: tokens.length, columns, tokens };
}

/**
 * One text or several as rows.
 *
 * @throws {TypeError} when they are anything else than numbers.
 */
export function rowsOf(name: string, given: TokenIds): Rows {
  const refuse = (value: unknown): never => {
    throw new TypeError(`${name} must be a list of numbers, or a list of such lists, got ${inWords(value)} in it`);
  };
  if (!isList(given)) throw new TypeError(`${name} must be a list of numbers, or a list of such lists, got ${inWords(given)}`);
  const rows = (isList(given[0]) ? given : [given]) as Rows;
  for (const row of rows) {
    if (!isList(row)) refuse(row);
    const bad = row.findIndex((value) => typeof value !== "number");
    if (bad >= 0) refuse(row[bad]);
  }
  return rows;
}

function isList(value: unknown): boolean {
  return Array.isArray(value) || ArrayBuffer.isView(value);
}

/** Rows of an argument, checked to be `[batch, columns]`. */
function matrix(name: string, values: TokenIds | undefined, batch: number, columns: number): Rows | undefined {
  if (values === undefined) return undefined;
  const rows = rowsOf(name, values);
  if (rows.length !== batch || rows.some((row) => row.length !== columns)) {
    throw new TypeError(`${name} must be [${batch}, ${columns}], got [${rows.length}, ${[...new Set(rows.map((row) => row.length))].join(" or ")}]`);
  }
  return rows;
}

function keptColumns(keep: number | readonly number[] | undefined, columns: number): number[] {
  const all = Array.from({ length: columns }, (_, column) => column);
  if (keep === undefined || keep === 0) return all;
  const listed = typeof keep === "number" ? all.slice(-keep) : [...keep];
  if (
    listed.some((column) => !(Number.isInteger(column) && column >= 0 && column < columns)) ||
    (typeof keep === "number" && !(Number.isInteger(keep) && keep > 0))
  ) {
    throw new RangeError(`logitsToKeep must be a number of columns or a list of columns from 0 to ${columns - 1}, got ${JSON.stringify(keep)}`);
  }
  return listed;
}

/** A sliding window counts columns, the cache visible tokens: the same unless padding lies between tokens. */
function checkWindow(config: SmolLM3Config, visible: readonly number[]): void {
  const hasGap = visible.length > 0 && visible[visible.length - 1] - visible[0] + 1 !== visible.length;
  if (hasGap && config.slidingWindows.some((window) => window > 0)) {
    throw new TypeError("forward does not support an attentionMask with padding between tokens in a model with a sliding window yet");
  }
}
