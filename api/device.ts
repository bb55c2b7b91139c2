/**
 * From the name of a device to its backend.
 *
 * @module
 */
import { type Backend, DeviceError } from "../engine/backend.ts";

/** Devices by name. */
export type DeviceName = "auto" | "webgpu" | "wasm";

/**
 * Opens a device; its code is loaded only now.
 *
 * @throws {DeviceError} when the machine does not have it.
 * @throws {TypeError} when there is no device of that name.
 */
export async function openDevice(name: DeviceName): Promise<Backend> {
  switch (name) {
    case "auto":
    case "wasm":
      return (await import("../wasm/backend.ts")).createWasmBackend();
    case "webgpu":
      if (!("gpu" in navigator)) throw new DeviceError("Cannot use the device webgpu: this runtime has no WebGPU, run with a newer Deno or choose wasm");
      return await (await import("../gpu/backend.ts")).createGpuBackend();
    default:
      throw new TypeError(`Unknown device ${JSON.stringify(name)}: choose auto, wasm or webgpu`);
  }
}
