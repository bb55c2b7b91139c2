/**
 * Compiles kernels, each combination of source parts and constants once.
 *
 * @module
 */
import { DeviceError } from "../engine/backend.ts";
import { shaders } from "./generated/shaders.gen.ts";

/** What to compile. */
export interface Kernel {
  /** For labels and messages. */
  readonly name: string;
  /** Files of gpu/kernels that make up the source. */
  readonly parts: readonly string[];
  /** A letter a binding: u = uniform, r = read-only storage, w = read-write storage. */
  readonly access: string;
  /** Makes the source out of the parts where joining them does not do. */
  readonly transform?: (sources: ReadonlyMap<string, string>) => string;
  /** Values of the source's overrides. */
  readonly constants: Readonly<Record<string, number>>;
}

/** A compiled kernel. */
export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const bufferTypes: Record<string, GPUBufferBindingType> = { u: "uniform", r: "read-only-storage", w: "storage" };

/** Pipelines of one device. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #pending = new Map<string, Promise<CompiledKernel>>();
  readonly #compiled = new Map<string, CompiledKernel>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** @throws {DeviceError} with the compiler's message, file and line when the source does not compile. */
  get(kernel: Kernel): Promise<CompiledKernel> {
    const key = keyOf(kernel);
    let pending = this.#pending.get(key);
    if (!pending) {
      pending = this.#compile(kernel).then((compiled) => {
        this.#compiled.set(key, compiled);
        return compiled;
      });
      this.#pending.set(key, pending);
    }
    return pending;
  }

  /** A kernel that {@link Pipelines.get} has compiled. */
  compiled(kernel: Kernel): CompiledKernel {
    return this.#compiled.get(keyOf(kernel))!;
  }

  async #compile(kernel: Kernel): Promise<CompiledKernel> {
    const entries = Array.from(kernel.access, (letter, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: bufferTypes[letter] } }));
    // Scopes are a stack of the device's: closed before anything else gets its turn.
    this.#device.pushErrorScope("validation");
    const layout = this.#device.createBindGroupLayout({ entries });
    const pipelineLayout = this.#device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const module = this.#device.createShaderModule({ label: kernel.name, code: sourceOf(kernel) });
    const [error, info] = await Promise.all([this.#device.popErrorScope(), module.getCompilationInfo()]);
    const problem = info.messages.find(({ type }) => type === "error");
    if (problem) throw new DeviceError(`Cannot compile ${kernel.name}: ${describeProblem(kernel, problem)}`);
    const pipeline = await this.#device.createComputePipelineAsync({
      label: kernel.name,
      layout: pipelineLayout,
      compute: { module, entryPoint: "main", constants: { ...kernel.constants } },
    }).catch((error: Error) => error);
    if (error || pipeline instanceof Error) {
      throw new DeviceError(`Cannot compile ${kernel.name} (${kernel.parts.join(" + ")}): ${error?.message ?? (pipeline as Error).message}`);
    }
    return { pipeline, layout };
  }
}

function sourceOf({ parts, transform }: Kernel): string {
  const sources = new Map(parts.map((part) => [part, shaders[part]]));
  return transform?.(sources) ?? Array.from(sources, ([part, text]) => `// ${part}.wgsl\n${text}`).join("\n");
}

/** A compiler's message with the file, the line in it, and a caret under the place. */
function describeProblem(kernel: Kernel, { message, lineNum, linePos }: GPUCompilationMessage): string {
  const lines = sourceOf(kernel).split("\n"), line = lines[lineNum - 1] ?? "";
  const begin = lines.slice(0, lineNum).findLastIndex((text) => kernel.parts.some((part) => text === `// ${part}.wgsl`));
  const file = begin < 0 ? "the source" : lines[begin].slice("// ".length), cause = message.trim().split("\n")[0].replace(/^Shader '.*' parsing error: /, "");
  return `${file}:${lineNum - begin - 1}:${linePos}: ${cause}\n  ${line}\n  ${" ".repeat(Math.max(0, linePos - 1))}^`;
}

function keyOf(kernel: Kernel): string {
  return `${kernel.transform ? sourceOf(kernel) : kernel.parts.join("+")} ${kernel.access} ${JSON.stringify(kernel.constants)}`;
}
