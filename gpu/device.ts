/**
 * Finds an adapter and asks it for everything the kernels can use.
 *
 * @module
 */
import { DeviceError } from "../engine/backend.ts";

/** A device with what it granted. */
export interface Gpu {
  readonly device: GPUDevice;
  /** Adapter in words, for messages. */
  readonly name: string;
  readonly limits: GPUSupportedLimits;
  /** Subgroup operations; hidden from `adapter.features` by Deno, granted all the same. */
  readonly subgroups: boolean;
  /** Storage that other workgroups of the same dispatch see; what a grid-wide barrier needs. */
  readonly coherent: boolean;
  readonly timestamps: boolean;
  /** Lanes of a subgroup, 0 when it varies or is not known. */
  readonly subgroupSize: number;
  /** Workgroups of 512 threads that are resident together: one a multiprocessor; 0 when not known. */
  readonly workgroups: number;
  /** Rejects when the device is lost or reports an error that nobody caught; never resolves. */
  readonly failed: Promise<never>;
}

const wanted = ["subgroups", "wgpu-memory-decoration-coherent", "shader-f16", "timestamp-query"];
const wantedLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxStorageBuffersPerShaderStage",
] as const;

/**
 * Requests the high-performance adapter and a device.
 *
 * @throws {DeviceError} when this runtime or machine has none.
 */
export async function requestGpu(): Promise<Gpu> {
  if (typeof navigator === "undefined" || !navigator.gpu) throw new DeviceError("Cannot use WebGPU: this runtime does not offer navigator.gpu");
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new DeviceError("Cannot use WebGPU: no adapter found; install a Vulkan, Metal or DirectX 12 driver, or use device wasm");
  const requiredLimits: Record<string, number> = {};
  for (const name of wantedLimits) requiredLimits[name] = adapter.limits[name];
  let device: GPUDevice | undefined, granted: string[] = [];
  // Deno refuses the whole request when one feature is missing and does not list them all, so ask for less until it agrees.
  for (let skip = 0; skip < 1 << wanted.length && !device; skip++) {
    granted = wanted.filter((_, i) => !(skip >> i & 1));
    device = await adapter.requestDevice({ requiredFeatures: granted as GPUFeatureName[], requiredLimits }).catch(() => undefined);
  }
  if (!device) throw new DeviceError(`Cannot use WebGPU: adapter ${adapter.info.description} grants no device`);
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {}); // whoever races against it reports it; nobody racing is no crash
  device.addEventListener("uncapturederror", (event) => reject(new DeviceError(`The GPU reported: ${(event as GPUUncapturedErrorEvent).error.message}`)));
  device.lost.then((info) => reject(new DeviceError(`The GPU was lost (${info.reason || "unknown reason"}): ${info.message}; load the model again`)));
  return {
    device,
    name: adapter.info.description || adapter.info.vendor,
    limits: device.limits,
    subgroups: granted.includes("subgroups"),
    coherent: granted.includes("wgpu-memory-decoration-coherent"),
    timestamps: granted.includes("timestamp-query"),
    subgroupSize: adapter.info.subgroupMinSize === adapter.info.subgroupMaxSize ? adapter.info.subgroupMinSize : 0,
    workgroups: multiprocessors(adapter.info.description),
    failed,
  };
}

/** Multiprocessors of the GPUs on which the persistent walk was measured; WebGPU does not tell. */
function multiprocessors(description: string): number {
  return /H[12]00/.test(description) ? 132 : 0;
}
