/**
 * Finds an adapter and asks it for everything the kernels can use.
 *
 * @module
 */
import { DeviceError } from "../engine/backend.ts";
import { multiprocessorsOf } from "./multiprocessors.ts";
import { Pipelines } from "./pipelines.ts";

/** A device with what it granted. */
export interface Gpu {
  readonly device: GPUDevice;
  /** Adapter in words, for messages. */
  readonly name: string;
  readonly limits: GPUSupportedLimits;
  /** Most bytes of one binding; what is larger is cut. */
  readonly bindingBytes: number;
  /** Subgroup operations; hidden from `adapter.features` by Deno, granted all the same. */
  readonly subgroups: boolean;
  /** Storage that other workgroups of the same dispatch see; what the persistent walk needs. */
  readonly coherent: boolean;
  readonly timestamps: boolean;
  /** Lanes of a subgroup, 0 when it varies or is not known. */
  readonly subgroupSize: number;
  /** Workgroups of 512 threads that are resident together: one a multiprocessor; 0 when not known. */
  readonly workgroups: number;
  /** Kernels that were compiled for this device, whichever program asked for them. */
  readonly pipelines: Pipelines;
  /** Rejects when the device is lost or reports an error that nobody caught; never resolves. */
  readonly failed: Promise<never>;
}

/** What to make of a device other than the most of it. */
export interface GpuOptions {
  /** Features to do without, by their WebGPU names. */
  readonly without?: readonly string[];
  /** Cut weights at so many bytes, fewer than the device would bind. */
  readonly bindingBytes?: number;
  /** Limits to ask for in place of larger ones of the adapter. */
  readonly limits?: Partial<Record<(typeof wantedLimits)[number], number>>;
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

/** The device that all models of this process share. */
let shared: Promise<Gpu> | undefined;

/**
 * The device that all models of this process share; a new one after it failed.
 *
 * @throws {DeviceError} when this runtime or machine has none.
 */
export function sharedGpu(): Promise<Gpu> {
  if (shared) return shared;
  const opening = shared = requestGpu();
  const forget = () => {
    if (shared === opening) shared = undefined;
  };
  opening.then(({ failed }) => failed.catch(forget), forget);
  return opening;
}

/**
 * Requests the high-performance adapter and a device.
 *
 * @throws {DeviceError} when this runtime or machine has none.
 */
export async function requestGpu({ without = [], bindingBytes = Infinity, limits = {} }: GpuOptions = {}): Promise<Gpu> {
  const adapter = await requestAdapter(), { info } = adapter, name = info.description || info.vendor;
  const requiredLimits: Record<string, number> = {};
  for (const limit of wantedLimits) requiredLimits[limit] = Math.min(adapter.limits[limit], limits[limit] ?? Infinity);
  const features = wanted.filter((feature) => !without.includes(feature));
  let device: GPUDevice | undefined, granted: string[] = [], refusal = "";
  // Deno refuses the whole request when one feature is missing and does not list them all, so ask for less until it agrees.
  for (let skip = 0; skip < 1 << features.length && !device; skip++) {
    granted = features.filter((_, i) => !(skip >> i & 1));
    device = await adapter.requestDevice({ requiredFeatures: granted as GPUFeatureName[], requiredLimits }).catch((
      error,
    ) => (refusal = error.message, undefined));
  }
  if (!device) throw new DeviceError(`Cannot use WebGPU: adapter ${name} grants no device: ${refusal}`);
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {}); // whoever races against it reports it; nobody racing is no crash
  device.addEventListener("uncapturederror", (event) => reject(new DeviceError(`${name} reported: ${(event as GPUUncapturedErrorEvent).error.message}`)));
  device.lost.then(({ reason, message }) => reject(new DeviceError(`${name} was lost (${reason || "unknown reason"}): ${message}; load the model again`)));
  return {
    device,
    name,
    limits: device.limits,
    bindingBytes: Math.min(bindingBytes, device.limits.maxStorageBufferBindingSize),
    subgroups: granted.includes("subgroups"),
    coherent: granted.includes("wgpu-memory-decoration-coherent"),
    timestamps: granted.includes("timestamp-query"),
    subgroupSize: info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 0,
    workgroups: multiprocessorsOf(info.description),
    pipelines: new Pipelines(device),
    failed,
  };
}

/**
 * Whether there is a GPU that is worth using: not one that the CPU imitates.
 *
 * @returns Its name in words.
 * @throws {DeviceError} that says what there is instead.
 */
export async function findRealGpu(): Promise<string> {
  const { info } = await requestAdapter();
  if (info.isFallbackAdapter || /llvmpipe|swiftshader|basic render/i.test(info.description)) {
    throw new DeviceError(`The only WebGPU adapter, ${info.description}, computes on the CPU`);
  }
  return info.description || info.vendor;
}

async function requestAdapter(): Promise<GPUAdapter> {
  if (typeof navigator === "undefined" || !navigator.gpu) {
    throw new DeviceError("Cannot use WebGPU: this runtime does not offer navigator.gpu; run with a newer Deno or choose wasm");
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new DeviceError("Cannot use WebGPU: no adapter found; install a Vulkan, Metal or DirectX 12 driver, or choose wasm");
  return adapter;
}
