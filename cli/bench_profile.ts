/**
 * Where the time of a step goes on the GPU, kernel by kernel, as a table.
 *
 * @module
 */
import type { CompiledModel } from "../api/load_model.ts";
import type { CompileOptions } from "../engine/backend.ts";
import type { GpuExecutable } from "../gpu/executable.ts";
import type { Profile } from "../gpu/profile.ts";
import type { BenchRunner, BenchTest } from "./bench_runs.ts";

/** Times of a step of a test, on one of the ways in which the device computes it. */
export interface StepProfile extends Profile {
  /** Tokens of the step, and of the context before it. */
  readonly nTokens: number;
  readonly nPast: number;
}

/** Where the time of a test goes. */
export interface TestProfile {
  /** What a kernel that only reads gets out of the memory: the floor. */
  readonly bytesPerSecond: number;
  readonly steps: readonly StepProfile[];
}

/** Most tokens of the walk that is timed, those of the warm-up included. */
const mostWalks = 64;

/** Times the kernels of a model on a GPU. */
export class StepProfiler {
  readonly #executable: GpuExecutable;
  readonly #options: CompileOptions;
  readonly #runner: BenchRunner;
  readonly #bytesPerSecond: number;

  private constructor(executable: GpuExecutable, options: CompileOptions, runner: BenchRunner, bytesPerSecond: number) {
    [this.#executable, this.#options, this.#runner, this.#bytesPerSecond] = [executable, options, runner, bytesPerSecond];
  }

  /** @returns In words why there is none, where the device does not give the times of its kernels. */
  static async create({ backend, executable, compileOptions }: CompiledModel, runner: BenchRunner): Promise<StepProfiler | string> {
    if (backend.device !== "webgpu") return `${backend.device} does not time its kernels`;
    const { measureBandwidth } = await import("../gpu/profile.ts"), { gpu } = executable as GpuExecutable;
    if (!gpu.timestamps) return `${gpu.name} grants no timestamp queries`;
    return new StepProfiler(executable as GpuExecutable, compileOptions, runner, await measureBandwidth(gpu));
  }

  /** Profiles the first step of a prompt, or the middle one of an answer; the latter as the persistent walk, too, where the device takes it. */
  async profile({ kind, tokens, depth }: BenchTest): Promise<TestProfile> {
    const { profileBatch, profileWalk } = await import("../gpu/profile.ts"), { maxRows, maxContext } = this.#options, isPrompt = kind === "prompt";
    const nTokens = isPrompt ? Math.min(tokens, maxRows) : 1, nPast = isPrompt ? depth : depth + (tokens >> 1), steps: StepProfile[] = [];
    if (!isPrompt) {
      const { batch, rope } = this.#runner.ahead(nPast, Math.min(mostWalks, maxContext - nPast)), walk = await profileWalk(this.#executable, batch, rope);
      if (walk) steps.push({ nTokens, nPast, ...walk });
    }
    steps.push({ nTokens, nPast, ...await profileBatch(this.#executable, this.#runner.batch(nPast, nTokens)) });
    return { bytesPerSecond: this.#bytesPerSecond, steps };
  }
}

const heads = ["kernel", "dispatches", "us each", "us", "%", "MB", "GB/s", "% of floor", "TFLOP/s"];
/** A column that only some profiles have. */
const marginalHead = "us saved without";

/** The tables of a test, one a way. */
export function describeProfile(test: string, { bytesPerSecond, steps }: TestProfile): string {
  return steps.map(({ nTokens, nPast, rows, stepUs }) => {
    const sumUs = rows.reduce((sum, { timeUs }) => sum + timeUs, 0), floorUs = rows.reduce((sum, { bytes }) => sum + bytes, 0) / bytesPerSecond * 1e6;
    const lines = rows.map(({ kernel, count, timeUs, bytes, operations, marginalUs }) => [
      kernel,
      String(count),
      (timeUs / count).toFixed(1),
      timeUs.toFixed(0),
      (timeUs / sumUs * 100).toFixed(1),
      (bytes / 1e6).toFixed(1),
      (bytes / timeUs / 1e3).toFixed(0),
      (bytes / bytesPerSecond / timeUs * 1e8).toFixed(0),
      (operations / timeUs / 1e6).toFixed(1),
      ...marginalUs === undefined ? [] : [marginalUs.toFixed(0)],
    ]);
    return `\n${test}, ${nTokens} ${nTokens === 1 ? "token" : "tokens"} after ${nPast}: ${inMs(stepUs)} as it runs, ${inMs(sumUs)} kernel by kernel, \
${inMs(floorUs)} if only memory counted (${(bytesPerSecond / 1e9).toFixed(0)} GB/s)\n\n${
      table([lines[0].length > heads.length ? [...heads, marginalHead] : heads, ...lines])
    }`;
  }).join("");
}

function inMs(timeUs: number): string {
  return `${(timeUs / 1000).toFixed(3)} ms`;
}

/** Lines of cells, the first column to the left and the others to the right. */
function table([heads, ...lines]: readonly (readonly string[])[]): string {
  const widths = heads.map((_, i) => Math.max(...[heads, ...lines].map((cells) => cells[i].length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join(" | ")} |\n`;
  return line(heads) + line(widths.map((width, i) => i === 0 ? "-".repeat(width) : "-".repeat(width - 1) + ":")) + lines.map(line).join("");
}
