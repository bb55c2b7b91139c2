/**
 * The CPU backend: a program runs in Rust compiled to WebAssembly, on as many workers as there are threads.
 *
 * @module
 */
import { type Backend, DeviceError } from "../engine/backend.ts";
import { formatNumbers } from "./encode.ts";
import { WasmExecutable } from "./executable.ts";
import { layOut } from "./layout.ts";
import { type BuildName, loadModel, supportedBuild } from "./model.ts";

export type { BuildName } from "./model.ts";

/** Choices of {@link createWasmBackend}. */
export interface WasmBackendOptions {
  /** Which build of the crate; `auto` is the best that this engine runs. */
  readonly build?: "auto" | BuildName;
  /** Most bytes of one memory; 4 GiB is what 32-bit addresses reach. Smaller ones spread a program over several. */
  readonly memoryBytes?: number;
}

/**
 * Memory that the machine has left, as far as this program may ask. Allocation itself seldom fails: pages are only taken when they are
 * written, and by then there is no error but the end of the process.
 */
function availableBytes(): number {
  const permission = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  return permission.state === "granted" ? Deno.systemMemoryInfo().available : Infinity;
}

/**
 * Prepares the CPU backend.
 *
 * @returns A backend that multiplies with every format as it is.
 */
export async function createWasmBackend({ build = "auto", memoryBytes = 2 ** 32 }: WasmBackendOptions = {}): Promise<Backend> {
  const model = await loadModel(build === "auto" ? supportedBuild() : build);
  // The plain build has one thread. More threads than cores wait for each other: 62 times slower when that was measured.
  const threadsOf = (threads: number) => model.build === "simd" ? 1 : Math.min(threads, navigator.hardwareConcurrency);
  const place: (...args: Parameters<Backend["estimate"]>) => ReturnType<typeof layOut> = (program, options) =>
    layOut(program, { ...options, threads: threadsOf(options.threads) }, model, memoryBytes);
  return {
    device: "wasm",
    formats: new Set(formatNumbers),
    estimate: (program, options) => place(program, options).totalBytes,
    compile: async (program, options) => {
      const layout = place(program, options), available = availableBytes();
      if (layout.totalBytes > available) {
        throw new DeviceError(
          `Cannot place ${program.name}: it takes ${layout.totalBytes} bytes, this machine has ${available} left; quantize it, or ask for shorter contexts (maxModelLen)`,
        );
      }
      return await WasmExecutable.create(layout, model, threadsOf(options.threads));
    },
  };
}
