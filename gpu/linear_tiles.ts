/**
 * The tiles in which a linear of more than a few rows is made, and how finely its work is cut.
 *
 * @module
 */
import type { Memory } from "./dispatch.ts";

/** A kernel that makes tiles of a linear's results. */
export interface Tile {
  /** What its file is named after `linear_float` or `linear_int8`. */
  readonly name: string;
  /** Parts that it needs beside those of every linear. */
  readonly parts: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  /** It serves batches of more than `above` rows, up to `upTo`. */
  readonly above: number;
  readonly upTo: number;
  /** Rows and outputs of a tile, and values of K in a step. */
  readonly rows: number;
  readonly columns: number;
  readonly stepCols: number;
  /** Of workgroup memory. */
  readonly workgroupBytes: number;
  /** Workgroups of a multiprocessor that take no longer together than one alone, because each mostly waits for memory. */
  readonly together: number;
  /** Workgroups that a multiprocessor has room for; all there are where that was not seen to matter. */
  readonly resident?: number;
  /** What a workgroup costs beside its steps, what adding planes costs, and for how many results of a plane it costs a step more. */
  readonly beginning: number;
  readonly sum: number;
  readonly planeResults: number;
}

/** How a tile's kernel is run for some numbers of rows. */
export interface Cut {
  readonly tile: Tile;
  readonly above: number;
  readonly upTo: number;
  /** Parts of K. */
  readonly splits: number;
}

/** Rows up to which activations are read where they are needed (linear_*_rows.wgsl) rather than staged for all lanes, and threads of those kernels. */
const fewRows = { int8: 4, float: 2 }, fewRowsThreads = 512;

const someRows = 96, mostSplits = 16;
const int8Rows = (groupRows: number, groups: number) => ({
  rows: groupRows * groups,
  constants: { group_rows: groupRows, row_groups: groups, threads: 128 * groups, results: 32 * groupRows * groups },
  workgroupBytes: groups * (4352 + 1024 + 256 * groupRows) + 4608,
});
const floatRows = (groups: number) => ({ rows: 8 * groups, constants: { row_groups: groups, threads: 128 * groups }, workgroupBytes: groups * 4608 });
const int8Lanes = { name: "_32", parts: ["tile_result", "gated_none"], columns: 64, stepCols: 256, together: 1, beginning: 1.5, sum: 3, planeResults: 500_000 };
const floatLanes = { name: "_16", parts: ["tile_result"], columns: 128, stepCols: 128, beginning: 1, sum: 3, planeResults: 250_000 };

/** Tiles of int8 and of float activations, by rows of the batch. */
const tiles: Readonly<Record<"int8" | "float", readonly Tile[]>> = {
  int8: [
    { ...int8Lanes, together: 2, ...int8Rows(8, 1), above: fewRows.int8, upTo: 8 },
    { ...int8Lanes, ...int8Rows(16, 1), above: 8, upTo: 16 },
    { ...int8Lanes, ...int8Rows(16, 2), above: 16, upTo: someRows },
    {
      ...{ name: "", rows: 64, columns: 128, constants: {}, stepCols: 64, workgroupBytes: 15_360, above: someRows, upTo: Infinity },
      parts: ["int8_block", "tile_result", "tile_four", "linear_int8_store"],
      ...{ together: 1.4, resident: 3, beginning: 2.5, sum: 3.7, planeResults: 480_000 },
    },
  ],
  float: [
    { ...floatLanes, together: 2, ...floatRows(1), above: fewRows.float, upTo: 8 },
    { ...floatLanes, together: 1.5, ...floatRows(2), above: 8, upTo: 16 },
    {
      name: "_32",
      parts: ["tile_result", "tile_four", "tile_column", "tile32_store"],
      constants: {},
      rows: 32,
      columns: 128,
      stepCols: 16,
      above: 16,
      upTo: someRows,
      workgroupBytes: 10_240,
      together: 4,
      beginning: 2,
      sum: 12,
      planeResults: 160_000,
    },
    {
      ...{ name: "", rows: 64, columns: 128, constants: {}, stepCols: 16, workgroupBytes: 12_288, above: someRows, upTo: Infinity },
      parts: ["tile_result", "tile_four", "tile_column"],
      ...{ together: 1.75, resident: 3, beginning: 4, sum: 7, planeResults: 250_000 },
    },
  ],
};

/** Rows up to which activations are read where they are needed (linear_*_rows.wgsl) rather than staged for all lanes. */
export function fewRowsOf({ workgroup }: Memory, kind: "int8" | "float"): number {
  return workgroup.threads < fewRowsThreads ? 0 : fewRows[kind];
}

/**
 * How a matrix of `outputs` rows of `inner` values is multiplied with up to `mostRows` rows.
 *
 * @param kind Of the activations.
 */
export function cut(memory: Memory, kind: "int8" | "float", outputs: number, inner: number, mostRows: number): Cut[] {
  const fitting = tiles[kind].filter(({ workgroupBytes }) => workgroupBytes <= memory.workgroup.bytes), few = fewRowsOf(memory, kind);
  return fitting.map((tile, i) => ({ ...tile, above: i === 0 ? few : tile.above, upTo: i === fitting.length - 1 ? Infinity : tile.upTo })).flatMap((tile) => {
    const cuts: Cut[] = [], columns = Math.ceil(outputs / tile.columns);
    // Each number of tiles gets the split that suits it; once they are many they stay whole.
    for (let count = Math.ceil((tile.above + 1) / tile.rows); (count - 1) * tile.rows < Math.min(tile.upTo, mostRows); count++) {
      const above = Math.max(tile.above, (count - 1) * tile.rows), upTo = Math.min(tile.upTo, count * tile.rows);
      const splits = splitsOf(memory, tile, count * columns, Math.ceil(inner / tile.stepCols), upTo * outputs);
      const isLast = splits === 1 && count * columns >= 4 * memory.multiprocessors;
      cuts.push({ tile, above, upTo: isLast ? tile.upTo : upTo, splits });
      if (isLast) break;
    }
    return cuts;
  });
}

/** Into how many parts K is cut: the number that makes the multiprocessor with most work end first, weighed against the planes that have to be added. */
function splitsOf({ multiprocessors, scratch }: Memory, tile: Tile, workgroups: number, steps: number, results: number): number {
  const { together, resident = Infinity } = tile;
  const cost = (splits: number) => {
    const most = Math.ceil(workgroups * splits / multiprocessors), rest = most % resident, turns = most - rest + (rest > 0 ? Math.max(together, rest) : 0);
    return turns * (Math.ceil(steps / splits) + tile.beginning) + (splits > 1 ? tile.sum + splits * results / tile.planeResults : 0);
  };
  let best = 1;
  for (let splits = 2; splits <= Math.min(mostSplits, steps) && splits * results * 4 <= scratch.planes.size; splits++) {
    if (cost(splits) < cost(best)) best = splits;
  }
  return best;
}
