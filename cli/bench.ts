/**
 * `smolder bench`: prefill and decode speed in llama-bench's terms.
 *
 * @module
 */
import { type CompiledModel, loadModel, type LoadOptions } from "../api/load_model.ts";
import { rowBytes } from "../engine/formats.ts";
import { programTensors } from "../engine/loader/plan_weights.ts";
import { describeProfile, StepProfiler, type TestProfile } from "./bench_profile.ts";
import { BenchRunner, type BenchTest, statistics, testName } from "./bench_runs.ts";
import { commonFlags, describeFlags, parseFlags, sourceOf, type Values } from "./flags.ts";
import { loadOptions } from "./load.ts";
import { type RandomFormat, shapeNames } from "./random_model.ts";
import { formatBytes, StatusLine, writeError, writeOut } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

const flags = {
  "n-prompt": { type: "string", value: "N,…", short: "p", help: "Prompt lengths (default: 512)" },
  "n-gen": { type: "string", value: "N,…", short: "n", help: "Answer lengths (default: 128)" },
  "n-depth": { type: "string", value: "N,…", short: "d", help: "Lengths of the context before them (default: 0)" },
  repetitions: { type: "integer", value: "N", short: "r", help: "Runs of each test (default: 5)", range: [1, 1000] },
  threads: { type: "string", value: "N,…", short: "t", help: "Numbers of threads (default: all)" },
  random: { type: "string", value: "SHAPE", help: `Random weights instead of a model: ${shapeNames.join(", ")}`, choices: shapeNames },
  json: { type: "boolean", help: "Print one JSON array" },
  ...commonFlags,
} as const;

const help = `smolder bench [SOURCE] [FLAGS]: tokens a second, of the model alone; on a GPU also the time of each kernel of a step

${describeFlags(flags)}

Examples: smolder bench -p 512 -n 128 -d 0,4096
          smolder bench --random smollm3-3b --quantization q4_0 -t 1,2
`;

/** One line of the result. */
interface BenchResult {
  readonly model: string;
  readonly device: string;
  readonly threads: number;
  readonly parameters: number;
  readonly weightBytes: number;
  readonly test: string;
  readonly nPrompt: number;
  readonly nGen: number;
  readonly nDepth: number;
  readonly tokensPerSecond: number;
  readonly tokensPerSecondDeviation: number;
  readonly samplesTokensPerSecond: readonly number[];
  /** Where the time of a step goes; only of devices that tell. */
  readonly profile?: TestProfile;
}

/** @returns Exit status. */
export async function bench(args: readonly string[]): Promise<number> {
  const parsed = parseFlags(args, flags, (name) => Deno.env.get(name)), { values, positionals, given } = parsed;
  if (values.help) return writeOut(help), 0;
  const source = sourceOf("bench", parsed);
  if (values.random !== undefined && (positionals.length > 0 || given.has("model"))) throw new UsageError("Give a model or --random, not both");
  const prompts = numbers("--n-prompt", values["n-prompt"], [512]), answers = numbers("--n-gen", values["n-gen"], [128]);
  const tests = numbers("--n-depth", values["n-depth"], [0]).flatMap((depth): BenchTest[] => [
    ...prompts.filter(Boolean).map((tokens) => ({ kind: "prompt" as const, tokens, depth })),
    ...answers.filter(Boolean).map((tokens) => ({ kind: "generate" as const, tokens, depth })),
  ]);
  if (tests.length === 0) throw new UsageError("Nothing to measure: give -p or -n a number above 0");
  const threads = numbers("--threads", values.threads, [navigator.hardwareConcurrency]);
  if (threads.includes(0)) throw new UsageError("--threads must be at least 1, got 0");

  const interrupt = new AbortController(), onInterrupt = () => interrupt.abort();
  Deno.addSignalListener("SIGINT", onInterrupt);
  const results: BenchResult[] = [], status = new StatusLine();
  try {
    if (!values.json) writeOut(row(heads) + "\n" + row(heads.map(({ width }) => "-".repeat(width))) + "\n");
    for (const count of threads) {
      const maxModelLen = Math.max(...tests.map(({ tokens, depth }) => tokens + depth));
      status.show("Loading");
      const { name, model } = await load(source, values, { threads: count, maxModelLen, maxNumSeqs: 1, signal: interrupt.signal });
      if (values.verbose) {
        status.clear();
        writeError(`${model.backend.device}: ${model.deviceReason}\n`);
      }
      try {
        const runner = new BenchRunner(model), profiler = await StepProfiler.create(model, runner), profiled: BenchResult[] = [];
        for (const test of tests) {
          status.show(`${testName(test)}, ${count} threads`);
          const samples = await runner.measure(test, values.repetitions ?? 5, interrupt.signal);
          const result = resultOf(name, model, test, samples, typeof profiler === "string" ? undefined : await profiler.profile(test));
          status.clear();
          results.push(result);
          profiled.push(result);
          if (!values.json) writeOut(describe(result) + "\n");
        }
        if (values.json || model.backend.device !== "webgpu") continue;
        if (typeof profiler === "string") writeOut(`\nNo times of single kernels: ${profiler}\n`);
        for (const { test, profile } of profiled) if (profile) writeOut(describeProfile(test, profile));
      } finally {
        model.executable.close();
      }
    }
    if (values.json) writeOut(JSON.stringify(results) + "\n");
    return 0;
  } catch (error) {
    if (error === interrupt.signal.reason) return 130;
    throw error;
  } finally {
    status.clear();
    Deno.removeSignalListener("SIGINT", onInterrupt);
  }
}

async function load(
  source: string,
  values: Values<typeof flags>,
  extra: LoadOptions,
): Promise<{ name: string; model: CompiledModel & { deviceReason: string } }> {
  const { threads: _, random, ...modelValues } = values, options = { ...loadOptions(modelValues), ...extra };
  if (random === undefined) return { name: source, model: await loadModel(source, options) };
  const floats: Readonly<Record<string, RandomFormat>> = { float32: "f32", float16: "f16" };
  const fourBit: Readonly<Record<string, RandomFormat>> = { nf4: "nf4_bf16", fp4: "fp4_bf16" };
  const format = fourBit[values.quantization ?? ""] ?? values.quantization as RandomFormat | undefined ?? floats[values.dtype ?? ""] ?? "bf16";
  const { loadRandomModel } = await import("./random_model.ts");
  return { name: `random ${random} ${format}`, model: await loadRandomModel(random, format, options) };
}

function resultOf(
  name: string,
  { program, backend, compileOptions }: CompiledModel,
  test: BenchTest,
  samples: readonly number[],
  profile?: TestProfile,
): BenchResult {
  const { mean, deviation } = statistics(samples), tensors = programTensors(program);
  return {
    model: name,
    device: backend.device,
    threads: compileOptions.threads,
    parameters: tensors.reduce((sum, { rows, cols }) => sum + rows * cols, 0),
    weightBytes: tensors.reduce((sum, { name, rows, cols }) => sum + rows * rowBytes(compileOptions.formats.get(name)!, cols), 0),
    test: testName(test),
    nPrompt: test.kind === "prompt" ? test.tokens : 0,
    nGen: test.kind === "generate" ? test.tokens : 0,
    nDepth: test.depth,
    tokensPerSecond: mean,
    tokensPerSecondDeviation: deviation,
    samplesTokensPerSecond: samples,
    profile,
  };
}

/** Columns of the table, as llama-bench prints them. */
const heads = [
  { title: "model", width: 30 },
  { title: "size", width: 10 },
  { title: "params", width: 10 },
  { title: "device", width: 7 },
  { title: "threads", width: 7 },
  { title: "test", width: 15 },
  { title: "t/s", width: 18 },
];

function row(cells: readonly (string | { title: string })[]): string {
  return `| ${cells.map((cell, i) => (typeof cell === "string" ? cell : cell.title).padEnd(heads[i].width)).join(" | ")} |`;
}

function describe(result: BenchResult): string {
  const { model, weightBytes, parameters, device, threads, test, tokensPerSecond, tokensPerSecondDeviation } = result;
  return row([
    model,
    formatBytes(weightBytes),
    `${(parameters / 1e6).toFixed(2)} M`,
    device,
    String(threads),
    test,
    `${tokensPerSecond.toFixed(2)} ± ${tokensPerSecondDeviation.toFixed(2)}`,
  ]);
}

/** Whole numbers with commas between them. */
function numbers(flag: string, text: string | undefined, otherwise: readonly number[]): readonly number[] {
  if (text === undefined) return otherwise;
  const values = text.split(",").map((part) => /^\s*\d+\s*$/.test(part) ? Number(part) : NaN);
  if (values.some((value) => !Number.isSafeInteger(value))) throw new UsageError(`${flag} must be whole numbers with commas between them, got ${text}`);
  return values;
}
