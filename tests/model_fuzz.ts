/**
 * Random models on random batches: every device against the oracle, what must not change a bit against itself, and what a device draws against the host.
 *
 * @module
 */
import { type Backend, type CacheType, type CompileOptions, DeviceError, type Executable, noToken, rowAlignment, type RowSampling } from "../engine/backend.ts";
import type { Host } from "../engine/host.ts";
import { programTensors } from "../engine/loader/plan_weights.ts";
import type { Binding, Cache } from "../engine/program.ts";
import { RopeTable } from "../engine/rope.ts";
import { runOracle } from "./oracle.ts";
import { batchOf, describe, Dice, drawBatches, drawModel, drawSampling, drawSequences, type FuzzSequence, type ModelCase } from "./random_case.ts";
import { bf16round } from "./random_four_bit.ts";
import { cacheRounding, deepTolerance, gpuStepTolerance, int8ActivationsTolerance, wasmStepTolerance } from "./tolerances.ts";

/** A device to be tested. */
export interface FuzzMachine {
  readonly name: string;
  readonly backend: Backend;
  readonly threads: number;
}

/** Compiled and loaded, tensor by tensor in any order, some rows at a time. */
export async function load(backend: Backend, { program, weights }: ModelCase, options: CompileOptions): Promise<Executable> {
  const executable = await backend.compile(program, options), dice = new Dice(options.maxRows);
  for (const { name, rows } of dice.shuffled(programTensors(program))) {
    const bytes = weights.bytes.get(name)!, stride = bytes.length / rows, step = dice.chance(0.3) ? rows : rowAlignment * dice.int(1, 9);
    for (let row = 0; row < rows; row += step) executable.writeRows(name, row, bytes.subarray(row * stride, Math.min(rows, row + step) * stride));
  }
  await executable.finishWeights();
  return executable;
}

/** Numbers as a KV cache holds them. */
const rounded: Record<CacheType, (value: number) => number> = { f32: (value) => value, f16: Math.f16round, bf16: bf16round };

/** The same on plain loops. K and V are rounded like on a device: what comes of that can be any multiple of it. */
function oracleOf({ program, weights, options: { blocks, blockSize, cacheType } }: ModelCase): Pick<Executable, "execute"> {
  const caches = new Map(program.caches.map((cache) => [cache, new Float32Array(blocks * blockSize * 2 * cache.kvHeads * cache.headDim)]));
  return {
    execute(batch) {
      const buffers = program.buffers.map(({ rows, cols }) => new Float32Array((rows === "tokens" ? batch.tokens : batch.outputRows).length * cols));
      const memory = (bound: Binding) => bound.kind === "buffer" ? buffers[bound.id] : bound.kind === "cache" ? caches.get(bound)! : weights.values.get(bound)!;
      runOracle(program, batch, blockSize, memory, (index) => {
        const { op, binds } = program.steps[index];
        if (op !== "ropeStore") return;
        const cache = binds[1] as Cache, values = caches.get(cache)!, width = 2 * cache.kvHeads * cache.headDim;
        for (const slot of batch.slots) {
          const stored = values.subarray(slot * width, (slot + 1) * width);
          stored.forEach((value, i) => stored[i] = rounded[cacheType](value));
        }
      });
      return Promise.resolve(buffers[program.logits.id]);
    },
  };
}

/** How far values are from others: the largest difference to the largest value, and norms. */
export function difference(got: Float32Array, want: Float32Array): { worst: number; norm: number } {
  let size = 0, worst = 0, squares = 0, error = 0;
  want.forEach((value, i) => {
    const off = Math.abs(value - got[i]);
    size = Math.max(size, Math.abs(value));
    worst = Math.max(worst, Number.isNaN(off) ? Infinity : off);
    squares += value * value;
    error += off * off;
  });
  return { worst: worst / Math.max(size, 1e-30), norm: Number.isNaN(error) ? Infinity : Math.sqrt(error / Math.max(squares, 1e-30)) };
}

/**
 * What a device may be off by: where only the order of sums differs, by the largest value; in norm where caches or activations are rounded, as a last
 * bit that differs before can differ by a whole step after it.
 *
 * @param int8Error How far int8 activations alone bring the CPU from the oracle: some random models are more sensitive than others.
 */
function offBy(got: Float32Array, want: Float32Array, { cacheType, activations }: CompileOptions, step: number, int8Error = 0): string | undefined {
  const { worst, norm } = difference(got, want), rounding = 2 * cacheRounding[cacheType];
  if (activations === "int8") return norm <= deepTolerance.int8 + rounding + int8Error ? undefined : `relative error ${norm}`;
  if (rounding > 0) return norm <= rounding ? undefined : `relative error ${norm}`;
  return worst <= 5 * step ? undefined : `off by ${worst} of the largest`;
}

/** Logits of a schedule: of each batch, and of each row by "sequence:position". */
interface Run {
  readonly batches: readonly Float32Array[];
  readonly rows: ReadonlyMap<string, Float32Array>;
}

/**
 * Runs the case of a seed.
 *
 * @param gpus Compared with the oracle (with the CPU, where activations are int8), and with what the host draws.
 * @param cpus Compared with the oracle and, bit by bit, with the first of their build. At least one.
 * @returns What is wrong.
 */
export async function fuzzModel(
  seed: number,
  gpus: readonly FuzzMachine[],
  cpus: readonly FuzzMachine[],
  host: Host,
): Promise<{ what: string; failures: string[] }> {
  const dice = new Dice(seed), model = drawModel(dice), { options, config: { vocabSize } } = model, failures: string[] = [];
  let what = describe(model);
  const fail = (message: string) => void failures.push(`seed ${seed}: ${message}\n  ${what}`);
  const rope = new RopeTable(model.config), schedule = dice.int(0, 2 ** 30), most = options.maxContext > 200 ? 5 : 8, sequences = drawSequences(dice, model);
  const run = async (executable: Pick<Executable, "execute">, schedule: number): Promise<Run> => {
    const batches: Float32Array[] = [], rows = new Map<string, Float32Array>();
    for (const sequence of sequences) sequence.computed = 0;
    for (const { batch, keys } of drawBatches(new Dice(schedule), options, rope, sequences, most)) {
      const logits = (await executable.execute(batch)).slice();
      batches.push(logits);
      keys.forEach((key, i) => rows.set(key, logits.subarray(i * vocabSize, (i + 1) * vocabSize)));
    }
    return { batches, rows };
  };
  const exact = await run(oracleOf(model), schedule), isInt8 = options.activations === "int8", byBuild = new Map<string, Run>();
  if (exact.batches.some((logits) => logits.some((value) => !Number.isFinite(value)))) return { what: `${what} (not finite)`, failures };

  for (const { name, backend, threads } of cpus) {
    const build = name.split(" ")[0], first = byBuild.get(build), executable = await load(backend, model, { ...options, threads });
    const made = await run(executable, first ? dice.int(0, 2 ** 30) : schedule);
    executable.close();
    for (const [key, row] of first ? made.rows : []) {
      const before = first!.rows.get(key);
      if (before?.some((value, i) => value !== row[i])) fail(`${name}: other bits at ${key} than before: ${JSON.stringify(difference(row, before))}`);
    }
    if (first) continue;
    byBuild.set(build, made);
    made.batches.forEach((logits, i) => {
      const wrong = offBy(logits, exact.batches[i], options, wasmStepTolerance, 3 * int8ActivationsTolerance);
      if (wrong) fail(`${name}: batch ${i}: ${wrong}`);
    });
  }
  const near = isInt8 ? [...byBuild.values()][0] : exact, int8Errors = near.batches.map((logits, i) => difference(logits, exact.batches[i]).norm);
  for (const { name, backend } of gpus) {
    let executable: Executable | undefined;
    try {
      executable = await load(backend, model, options);
      const made = await run(executable, schedule);
      made.batches.forEach((logits, i) => {
        const wrong = offBy(logits, near.batches[i], options, gpuStepTolerance, int8Errors[i]);
        if (wrong) fail(`${name}: batch ${i}: ${wrong}`);
      });
      const int8Error = Math.max(...int8Errors);
      for (const [key, row] of (await run(executable, dice.int(0, 2 ** 30))).rows) {
        const before = made.rows.get(key), wrong = before && offBy(row, before, options, 2 * gpuStepTolerance, int8Error);
        if (wrong) fail(`${name}: ${key} in other batches: ${wrong}`);
      }
      what += `; ${name}: ${executable.remark}`;
      const wrong = await fuzzDecode(dice, model, executable, rope, sequences, host, int8Error);
      if (wrong) fail(`${name}: ${wrong}`);
    } catch (error) {
      const isTooSmall = error instanceof DeviceError && /ask for at most|compute fewer/.test(error.message);
      if (!isTooSmall) fail(`${name}: ${error instanceof Error ? error.stack : error}`);
    }
    executable?.close();
  }
  return { what, failures };
}

/**
 * Tokens that the device draws: one by one against the host's sampler on the logits that they were drawn from, which must be near those of the
 * program; then again several steps a call.
 */
async function fuzzDecode(
  dice: Dice,
  { config, options }: ModelCase,
  executable: Executable,
  rope: RopeTable,
  sequences: readonly FuzzSequence[],
  { sampler }: Host,
  int8Error: number,
): Promise<string | undefined> {
  const { vocabSize } = config, { blockSize, maxOutputs, maxRows, maxContext } = options, most = dice.pick([1, 1, 2, 20]);
  const ready = sequences.filter(({ computed }) => computed > 1 && computed < maxContext - 1).slice(0, Math.min(maxOutputs, maxRows, most))
    .map((sequence) => ({ ...sequence, tokens: [...sequence.tokens] }));
  if (ready.length === 0) return;
  // From the last computed token on, whose keys are there already.
  const starts = ready.map(({ computed }) => computed - 1), room = Math.min(...ready.map(({ computed }) => maxContext - computed));
  const steps = dice.int(1, Math.min(room, dice.pick([3, 20, 64]))), got: number[][] = ready.map(() => []);
  const moveTo = (step: number) =>
    ready.forEach((sequence, i) => {
      sequence.computed = starts[i] + step;
      sequence.tokens.splice(starts[i] + 1, Infinity, ...got[i].slice(0, step));
    });
  moveTo(0);
  const sampling = ready.map(({ tokens }) => drawSampling(dice, vocabSize, [...tokens]));
  const next = () => batchOf(rope, blockSize, ready.map((sequence) => ({ sequence, fresh: 1 })), ready.map((_, i) => i));
  for (let step = 0; step < steps; step++) {
    moveTo(step);
    const now = sampling.map(({ penalties, position, ...row }, i): RowSampling => ({
      ...row,
      position: position + step,
      penalties: penalties && { ...penalties, outputTokenIds: [...got[i]] },
    }));
    const again = () => executable.decode!({ batch: next(), sampling: now, steps: 1, rope: new Float32Array() });
    const { tokens } = await again(), drawn = [...tokens], penalized = await executable.read("logits", ready.length);
    if (step < 3) {
      const exact = (await executable.execute(next())).slice();
      now.forEach(({ penalties }, i) => penalties && sampler.penalize(exact.subarray(i * vocabSize, (i + 1) * vocabSize), penalties));
      const wrong = offBy(penalized, exact, options, gpuStepTolerance, int8Error);
      if (wrong) return `decode of ${ready.length} sequences: logits of step ${step} are not those of execute: ${wrong}`;
      await again(); // its keys, not those of execute
    }
    for (const [i, { penalties: _, ...row }] of now.entries()) {
      const own = penalized.slice(i * vocabSize, (i + 1) * vocabSize), { tokenId } = sampler.sample(own, [row])[0];
      if (drawn[i] === noToken || drawn[i] !== tokenId) {
        const how = JSON.stringify(now[i], (_, value) => typeof value === "bigint" ? `${value}` : value instanceof Map ? [...value] : value);
        return `decode of ${ready.length} sequences: step ${step} of ${i} drew ${drawn[i]} (${own[drawn[i]]}) instead of ${tokenId} (${own[tokenId]}), ${how}`;
      }
      got[i].push(tokenId);
    }
  }
  moveTo(0);
  const ahead = new Float32Array((steps - 1) * ready.length * rope.headDim);
  for (let step = 1, row = 0; step < steps; step++) for (const start of starts) rope.fill(ahead, row++, start + step, start + step + 1);
  const { tokens } = await executable.decode!({ batch: next(), sampling, steps, rope: ahead });
  const wrong = tokens.findIndex((token, i) => token !== got[i % ready.length][Math.floor(i / ready.length)]);
  if (wrong >= 0) {
    const i = wrong % ready.length, step = Math.floor(wrong / ready.length);
    return `decode of ${ready.length} sequences, ${steps} steps at once: step ${step} of ${i} drew ${tokens[wrong]} instead of ${got[i][step]}`;
  }
}
