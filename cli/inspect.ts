/**
 * `smolder inspect`: what is in a model, and the memory that it needs.
 *
 * @module
 */
import { chooseCompileOptions, contextOf } from "../api/compile_options.ts";
import { openDevice } from "../api/device.ts";
import { quantizationOf } from "../api/bits_and_bytes_config.ts";
import type { LoadOptions } from "../api/load_model.ts";
import { type Backend, DeviceError } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import { type Format, rowBytes } from "../engine/formats.ts";
import { type Checkpoint, openCheckpoint } from "../engine/loader/checkpoint.ts";
import { type PlanOptions, planWeights, programTensors } from "../engine/loader/plan_weights.ts";
import { resolveSource } from "../engine/loader/source.ts";
import type { Program } from "../engine/program.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { commonFlags, describeFlags, parseFlags, sourceOf, threadsFlag } from "./flags.ts";
import { loadOptions } from "./load.ts";
import { formatBytes, writeOut } from "./terminal.ts";

const flags = { json: { type: "boolean", help: "Print one JSON object" }, ...threadsFlag, ...commonFlags } as const;

const help = `smolder inspect [SOURCE] [FLAGS]: configuration, tensors, and memory per context length; reads headers only

${describeFlags(flags)}
`;

/** Tensors of one storage type. */
interface FormatCount {
  readonly storageType: string;
  /** What the device multiplies with. */
  readonly format: string;
  readonly tensors: number;
  readonly storedBytes: number;
  readonly loadedBytes: number;
}

/** Memory for one sequence of some length. */
interface MemoryEstimate {
  readonly device: string;
  readonly contextLength: number;
  readonly totalBytes: number;
}

/** The object of `--json`. */
interface Report {
  readonly model: string;
  readonly parameters: number;
  readonly storedBytes: number;
  readonly config: SmolLM3Config;
  readonly generationConfig: Readonly<Record<string, unknown>>;
  readonly tensors: readonly FormatCount[];
  /** Tensors in the files that the model does not use. */
  readonly unusedTensors: readonly string[];
  readonly memory: readonly MemoryEstimate[];
  /** Why there is no estimate for a device. */
  readonly missingDevices: Readonly<Record<string, string>>;
}

/** @returns Exit status. */
export async function inspect(args: readonly string[]): Promise<number> {
  const parsed = parseFlags(args, flags, (name) => Deno.env.get(name)), { values } = parsed;
  if (values.help) return writeOut(help), 0;
  const source = sourceOf("inspect", parsed);
  const checkpoint = await openCheckpoint(await resolveSource(source));
  try {
    const report = await reportOf(checkpoint, source, loadOptions(values));
    writeOut(values.json ? JSON.stringify(report) + "\n" : describe(report));
  } finally {
    checkpoint.close();
  }
  return 0;
}

async function reportOf(checkpoint: Checkpoint, source: string, options: LoadOptions): Promise<Report> {
  const { config, generationConfig } = checkpoint, program = smolLM3(config);
  const { device = "auto" } = options, missingDevices: Record<string, string> = {}, backends: Backend[] = [];
  for (const name of device === "auto" ? ["wasm", "webgpu"] as const : [device]) {
    try {
      backends.push(await openDevice(name));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      missingDevices[name] = error.message;
    }
  }
  const plan = backends.length > 0 ? planWeights(program, checkpoint, backends[0].formats, planOptions(options)) : new Map<string, Format>();
  const names = new Set(programTensors(program).map(({ name }) => name));
  return {
    model: source,
    parameters: programTensors(program).reduce((sum, { rows, cols }) => sum + rows * cols, 0),
    storedBytes: [...checkpoint.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0),
    config,
    generationConfig,
    tensors: countFormats(program, checkpoint, plan),
    unusedTensors: [...checkpoint.tensors.keys()].filter((name) => !names.has(name)),
    memory: backends.flatMap((backend) => estimates(backend, program, checkpoint, options)),
    missingDevices,
  };
}

function planOptions({ dtype, quantization }: LoadOptions): PlanOptions {
  return { dtype, quantization: quantizationOf(quantization) };
}

/** Groups of tensors that are stored alike and loaded alike, largest first. */
function countFormats(program: Program, checkpoint: Checkpoint, plan: ReadonlyMap<string, Format>): FormatCount[] {
  const groups = new Map<string, FormatCount>();
  for (const { name, rows, cols } of programTensors(program)) {
    const stored = checkpoint.tensors.get(name), format = plan.get(name);
    if (stored === undefined || format === undefined) continue;
    const { storageType, byteLength } = stored, key = `${storageType} ${format}`;
    const group = groups.get(key) ?? { storageType, format, tensors: 0, storedBytes: 0, loadedBytes: 0 };
    const { tensors, storedBytes, loadedBytes } = group;
    groups.set(key, { ...group, tensors: tensors + 1, storedBytes: storedBytes + byteLength, loadedBytes: loadedBytes + rows * rowBytes(format, cols) });
  }
  return [...groups.values()].sort((a, b) => b.storedBytes - a.storedBytes);
}

function estimates(backend: Backend, program: Program, checkpoint: Checkpoint, options: LoadOptions): MemoryEstimate[] {
  const { config } = checkpoint, formats = planWeights(program, checkpoint, backend.formats, planOptions(options)), context = contextOf(config);
  const lengths = [...new Set([2048, 8192, 32768, context].filter((length) => length <= context))].sort((a, b) => a - b);
  return lengths.map((contextLength) => {
    const compileOptions = chooseCompileOptions(config, program, formats, { ...options, maxNumSeqs: 1, maxModelLen: contextLength });
    const blocks = Math.ceil(contextLength / compileOptions.blockSize); // One sequence and no more.
    return { device: backend.device, contextLength, totalBytes: backend.estimate(program, { ...compileOptions, blocks }) };
  });
}

function describe({ model, parameters, storedBytes, config, tensors, unusedTensors, memory, missingDevices }: Report): string {
  const nope = config.noRopeLayers.filter((rope) => rope === 0).length, windowed = config.slidingWindows.filter((window) => window > 0).length;
  const lines = [
    `${model}: ${config.modelType}, ${parameters.toLocaleString("en")} parameters, ${formatBytes(storedBytes)}`,
    `layers ${config.numHiddenLayers} (${nope} without RoPE${windowed ? `, ${windowed} with a sliding window` : ""}), hidden ${config.hiddenSize}, ` +
    `intermediate ${config.intermediateSize} ${config.hiddenAct}, heads ${config.numAttentionHeads} of ${config.headDim}, KV heads ${config.numKeyValueHeads}`,
    `vocabulary ${config.vocabSize}, context ${config.maxPositionEmbeddings}, RoPE ${config.rope.ropeType} ${config.rope.ropeTheta}` +
    `${config.tieWordEmbeddings ? ", tied embeddings" : ""}`,
    "",
    table(
      ["stored as", "tensors", "bytes", "runs as", "bytes"],
      tensors.map((group) => [
        group.storageType,
        String(group.tensors),
        formatBytes(group.storedBytes),
        group.format,
        formatBytes(group.loadedBytes),
      ]),
    ),
    "",
    table(["device", "context", "memory"], memory.map(({ device, contextLength, totalBytes }) => [device, String(contextLength), formatBytes(totalBytes)])),
    ...Object.entries(missingDevices).map(([name, why]) => `${name}: ${why}`),
    ...(unusedTensors.length > 0
      ? ["", `not used: ${unusedTensors.slice(0, 5).join(", ")}${unusedTensors.length > 5 ? `, … (${unusedTensors.length})` : ""}`]
      : []),
  ];
  return lines.join("\n") + "\n";
}

/** Columns as wide as their widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows], widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()).join("\n");
}
