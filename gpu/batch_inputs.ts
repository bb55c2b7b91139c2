/**
 * The batch on the GPU, and how attention over it is cut: rows that attend on their own, tiles of rows, slices of long contexts.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Program } from "../engine/program.ts";

/** What decides which dispatches a batch needs and how large they are. */
export interface Counts {
  readonly rows: number;
  readonly outputs: number;
  /** Rows of sequences with few of them: each attends on its own. */
  readonly singles: number;
  /** Groups of rows of one sequence that attend together. */
  readonly tiles: number;
  /** Parts into which the contexts of single rows are cut, and those of tiles. */
  readonly slices: number;
  readonly tileSlices: number;
}

/** What a batch asks of attention, for what it costs: keys of the sequences, and pairs of a row and a key that it sees; of rows on their own and in tiles. */
export interface AttentionWork {
  readonly singleKeys: number;
  readonly tileKeys: number;
  readonly singlePairs: number;
  readonly tilePairs: number;
}

/** Most steps that the device makes out of one batch. */
export const mostSteps = 64;

/** A sequence with more rows attends in tiles (attention_tiles.wgsl), one with fewer row by row (attention_rows.wgsl). */
const mostSingles = 4;
/** Query rows of a tile: tokens times heads of a KV group. */
const tileQueries = 64;
/** Keys that attention looks at together, most slices of a context, and workgroups of either kernel that a multiprocessor computes at a time. */
const keysTogether = 64, mostSlices = 64, resident = 2;
/** What a workgroup takes besides its turns of so many keys, and the dispatch that joins slices, in such turns. */
const startTurns = 2, joinTurns = 2;
/** Rows times slices that partial results have room for, if there are so many rows for each of four slices. */
const partials = 2048;

/** Heads that `attention_rows.wgsl` takes together: as many of a KV group as divide it, at most 4. */
export function headsTogether(heads: number, kvHeads: number): number {
  const group = heads / kvHeads;
  return [4, 3, 2].find((count) => group % count === 0) ?? 1;
}

/** Shape of the attention of a program; all its layers have the same. */
function attentionOf(program: Program): { heads: number; kvHeads: number; headDim: number } {
  const step = program.steps.find(({ op }) => op === "attention");
  return (step?.consts ?? { heads: 1, kvHeads: 1, headDim: 0 }) as { heads: number; kvHeads: number; headDim: number };
}

/** What a batch asks of attention; windows left aside. */
export function attentionWork({ queryStarts, contextLengths }: Batch): AttentionWork {
  const work = { singleKeys: 0, tileKeys: 0, singlePairs: 0, tilePairs: 0 };
  contextLengths.forEach((keys, sequence) => {
    const rows = queryStarts[sequence + 1] - queryStarts[sequence], pairs = rows * (keys - (rows - 1) / 2);
    if (rows <= mostSingles) {
      work.singleKeys += keys;
      work.singlePairs += pairs;
    } else {
      work.tileKeys += keys;
      work.tilePairs += pairs;
    }
  });
  return work;
}

/** Most pairs of a row and a slice. */
export function mostPartials({ maxRows, maxSequences }: CompileOptions): number {
  return Math.max(256, Math.min(partials, 4 * maxRows), Math.min(maxRows, mostSingles * maxSequences));
}

/** Rows of a tile. */
export function tileRowsOf(heads: number, kvHeads: number): number {
  return Math.max(1, Math.floor(tileQueries * kvHeads / heads));
}

/** Buffers that hold a {@link Batch}, sized for the largest one. */
export class BatchInputs {
  readonly batch: GPUBuffer;
  readonly tokens: GPUBuffer;
  readonly angles: GPUBuffer;
  readonly slots: GPUBuffer;
  /** `[rows]` pairs of the row's sequence and the number of keys it sees. */
  readonly rowContext: GPUBuffer;
  readonly blockTables: GPUBuffer;
  readonly outputRows: GPUBuffer;
  /** Rows that attend on their own. */
  readonly singles: GPUBuffer;
  /** `[tiles]` first row, rows, sequence, keys that the first row sees; those with most keys first. */
  readonly tiles: GPUBuffer;
  /** `[tiles, rows of a tile]` their rows; 2^32 - 1 where a tile has fewer. */
  readonly tileRows: GPUBuffer;
  /** `[steps - 1, rows, headDim]` angles of the steps that the device makes on its own (advance.wgsl). */
  readonly anglesAhead: GPUBuffer;
  /** `[rows]` how many of those a row has made. */
  readonly rounds: GPUBuffer;
  readonly #device: GPUDevice;
  readonly #buffers: GPUBuffer[] = [];
  /** Blocks of the longest sequence. */
  readonly #tableWidth: number;
  readonly #rowsOfTile: number;
  /** Workgroups that a row makes, and a tile, for each slice. */
  readonly #groupsOfRow: number;
  readonly #groupsOfTile: number;
  /** Workgroups that run at the same time. */
  readonly #resident: number;
  readonly #mostPartials: number;

  /** Bytes that the buffers take. */
  static bytes(program: Program, options: CompileOptions): number {
    return 32 + options.maxRows * (20 + 4 * attentionOf(program).headDim) + blockTableBytes(options) + options.maxOutputs * 8 +
      mostTiles(program, options) * (16 + 4 * rowsOfTile(program)) + anglesAheadBytes(program, options);
  }

  /** @param multiprocessors Of the device, or a guess. */
  constructor(device: GPUDevice, program: Program, options: CompileOptions, multiprocessors: number) {
    const make = (label: string, bytes: number, usage: number = GPUBufferUsage.STORAGE) => {
      const buffer = device.createBuffer({ label, size: Math.max(16, bytes), usage: usage | GPUBufferUsage.COPY_DST });
      this.#buffers.push(buffer);
      return buffer;
    };
    const { heads, kvHeads, headDim } = attentionOf(program);
    this.#device = device;
    this.#tableWidth = tableWidth(options);
    this.#rowsOfTile = rowsOfTile(program);
    this.#groupsOfTile = kvHeads * Math.ceil(headDim / 128);
    this.#groupsOfRow = heads / headsTogether(heads, kvHeads);
    this.#resident = resident * multiprocessors;
    this.#mostPartials = mostPartials(options);
    this.batch = make("batch", 32, GPUBufferUsage.UNIFORM);
    this.tokens = make("tokens", options.maxRows * 4);
    this.angles = make("angles", options.maxRows * headDim * 4);
    this.slots = make("slots", options.maxRows * 4);
    this.rowContext = make("rowContext", options.maxRows * 8);
    this.blockTables = make("blockTables", blockTableBytes(options));
    this.outputRows = make("outputRows", options.maxOutputs * 4);
    this.singles = make("singles", options.maxRows * 4);
    this.tiles = make("tiles", mostTiles(program, options) * 16);
    this.tileRows = make("tileRows", mostTiles(program, options) * rowsOfTile(program) * 4);
    this.anglesAhead = make("anglesAhead", anglesAheadBytes(program, options));
    this.rounds = make("rounds", options.maxOutputs * 4);
  }

  /**
   * Uploads a batch.
   *
   * @param ahead `[steps - 1, outputs, headDim]` rotations of the steps that the device makes out of this batch on its own; contexts grow meanwhile.
   */
  write(batch: Batch, ahead: Float32Array = new Float32Array()): Counts {
    const { queue } = this.#device, rows = batch.tokens.length, sequences = batch.contextLengths.length;
    const stepsAhead = ahead.length > 0 ? ahead.length / batch.rope.length : 0;
    const put = (buffer: GPUBuffer, data: Uint32Array | Float32Array) => {
      if (data.length > 0) queue.writeBuffer(buffer, 0, data as Uint32Array<ArrayBuffer>);
    };
    const blockTables = cutTables(batch, Math.min(batch.blocksPerSequence, this.#tableWidth)), rowContext = new Uint32Array(2 * rows);
    const singles: number[] = [], tiles: number[][] = [];
    let longest = 0;
    for (let sequence = 0; sequence < sequences; sequence++) {
      const begin = batch.queryStarts[sequence], end = batch.queryStarts[sequence + 1];
      for (let row = begin; row < end; row++) {
        rowContext[2 * row] = sequence;
        rowContext[2 * row + 1] = batch.contextLengths[sequence] - (end - 1 - row);
      }
      if (end - begin <= mostSingles) {
        for (let row = begin; row < end; row++) singles.push(row);
        longest = Math.max(longest, batch.contextLengths[sequence] + stepsAhead);
      } else {
        for (let row = begin; row < end; row += this.#rowsOfTile) tiles.push([row, Math.min(this.#rowsOfTile, end - row), sequence, rowContext[2 * row + 1]]);
      }
    }
    tiles.sort((a, b) => b[3] - a[3]); // the longest work first, so that it does not end alone
    const slices = this.#slices(singles.length, singles.length * this.#groupsOfRow, longest);
    const tileSlices = this.#slices(tiles.length * this.#rowsOfTile, tiles.length * this.#groupsOfTile, tiles.length > 0 ? tiles[0][3] : 0);
    put(this.batch, Uint32Array.of(rows, batch.outputRows.length, sequences, blockTables.length / Math.max(1, sequences), slices, tileSlices, 0, 0));
    put(this.tokens, batch.tokens);
    put(this.angles, batch.rope);
    put(this.slots, batch.slots);
    put(this.rowContext, rowContext);
    put(this.blockTables, blockTables);
    put(this.outputRows, batch.outputRows);
    put(this.singles, Uint32Array.from(singles));
    put(this.tiles, Uint32Array.from(tiles.flat()));
    if (tileSlices > 1) put(this.tileRows, Uint32Array.from(tiles.flatMap(([first, count]) => this.#padded(first, count))));
    put(this.anglesAhead, ahead);
    put(this.rounds, new Uint32Array(stepsAhead > 0 ? rows : 0));
    return { rows, outputs: batch.outputRows.length, singles: singles.length, tiles: tiles.length, slices, tileSlices };
  }

  /** Into how many slices contexts are cut: what all workgroups take one after the other, in turns of {@link keysTogether}, and what joining takes. */
  #slices(rows: number, workgroups: number, keys: number): number {
    const turns = Math.ceil(keys / keysTogether), most = Math.min(turns, mostSlices, Math.floor(this.#mostPartials / Math.max(1, rows)));
    const cost = (slices: number) =>
      Math.ceil(workgroups * slices / this.#resident) * (startTurns + Math.ceil(turns / slices)) + (slices > 1 ? joinTurns + slices / 50 : 0);
    let best = 1;
    for (let slices = 2; slices <= most; slices++) if (cost(slices) < cost(best)) best = slices;
    return best;
  }

  /** Rows of a tile, filled up. */
  #padded(first: number, count: number): number[] {
    return Array.from({ length: this.#rowsOfTile }, (_, i) => i < count ? first + i : 0xffff_ffff);
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

function rowsOfTile(program: Program): number {
  const { heads, kvHeads } = attentionOf(program);
  return tileRowsOf(heads, kvHeads);
}

function mostTiles(program: Program, options: CompileOptions): number {
  return Math.ceil(options.maxRows / rowsOfTile(program)) + options.maxSequences;
}

function anglesAheadBytes(program: Program, { maxOutputs }: CompileOptions): number {
  return (mostSteps - 1) * maxOutputs * attentionOf(program).headDim * 4;
}

function tableWidth({ maxContext, blockSize }: CompileOptions): number {
  return Math.ceil(maxContext / blockSize);
}

function blockTableBytes(options: CompileOptions): number {
  return options.maxSequences * tableWidth(options) * 4;
}

/** Block tables without the entries past `width`, which no context reaches. */
function cutTables({ blockTables, blocksPerSequence, contextLengths }: Batch, width: number): Uint32Array {
  if (width === blocksPerSequence) return blockTables;
  const cut = new Uint32Array(contextLengths.length * width);
  for (let i = 0; i < contextLengths.length; i++) cut.set(blockTables.subarray(i * blocksPerSequence, i * blocksPerSequence + width), i * width);
  return cut;
}
