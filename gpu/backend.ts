/**
 * The WebGPU backend: a program becomes pipelines, buffers and bind groups once; a step records prebuilt dispatches into few submits, or, where one sequence
 * is decoded and the device can, is one dispatch a token (the persistent walk).
 *
 * @module
 */
import { type Backend, type CompileOptions, DeviceError, type Executable } from "../engine/backend.ts";
import type { Format } from "../engine/formats.ts";
import type { Program } from "../engine/program.ts";
import { type Gpu, type GpuOptions, requestGpu, sharedGpu } from "./device.ts";
import { GpuExecutable } from "./executable.ts";
import { ProgramMemory } from "./memory.ts";
import { layouts } from "./weights.ts";

/**
 * Opens the GPU.
 *
 * @param options Asks for a device of its own instead of the one that all models share.
 * @throws {DeviceError} when there is none.
 */
export async function createGpuBackend(options?: GpuOptions): Promise<Backend & { readonly gpu: Gpu }> {
  const gpu = options ? await requestGpu(options) : await sharedGpu();
  return {
    device: "webgpu",
    gpu,
    formats: new Set(Object.keys(layouts) as Format[]),
    estimate: (program: Program, options: CompileOptions) => new ProgramMemory(gpu, program, options).bytes,
    compile(program: Program, options: CompileOptions): Promise<Executable> {
      const cache = program.caches[0];
      if (cache && (cache.headDim > 256 || cache.headDim % 2 !== 0)) {
        throw new DeviceError(`Cannot compile ${program.name} for the GPU: heads of ${cache.headDim} values, the kernels take even sizes up to 256`);
      }
      return GpuExecutable.compile(gpu, program, options);
    },
  };
}
