/**
 * From the name of a device to its backend.
 *
 * @module
 */
import { type Backend, type Device, DeviceError } from "../engine/backend.ts";

/** Devices by name. */
export type DeviceName = "auto" | Device;

/** What `auto` stands for on this machine, and why: the GPU where there is one that the CPU does not imitate. */
async function chooseDevice(name: DeviceName): Promise<{ device: Device; reason: string }> {
  if (name !== "auto") return { device: name, reason: `${name} was asked for` };
  try {
    return { device: "webgpu", reason: `auto took the GPU ${await (await import("../gpu/device.ts")).findRealGpu()}` };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return { device: "wasm", reason: `auto took the CPU: ${error.message}` };
  }
}

/**
 * Opens a device; its code is loaded only now.
 *
 * @throws {DeviceError} when the machine does not have it.
 * @throws {TypeError} when there is no device of that name.
 */
export async function openDevice(device: Device): Promise<Backend> {
  switch (device) {
    case "wasm":
      return (await import("../wasm/backend.ts")).createWasmBackend();
    case "webgpu":
      return await (await import("../gpu/backend.ts")).createGpuBackend();
    default:
      throw new TypeError(`Unknown device ${JSON.stringify(device)}: choose auto, wasm or webgpu`);
  }
}

/**
 * Opens a device and does something on it. Where `auto` took a GPU that turns out to be too small, the CPU takes over.
 *
 * @param own A backend of the caller's, in place of the device.
 * @returns What `use` returns, and for people why it ran there.
 * @throws {DeviceError} when the machine does not have the device, or what `use` throws.
 */
export async function onDevice<T>(name: DeviceName, own: Backend | undefined, use: (backend: Backend) => Promise<T>): Promise<{ result: T; reason: string }> {
  if (own !== undefined) return { result: await use(own), reason: "a backend was given" };
  const { device, reason } = await chooseDevice(name);
  try {
    return { result: await use(await openDevice(device)), reason };
  } catch (error) {
    if (name !== "auto" || device === "wasm" || !(error instanceof DeviceError)) throw error;
    return { result: await use(await openDevice("wasm")), reason: `auto took the CPU: ${error.message}` };
  }
}
