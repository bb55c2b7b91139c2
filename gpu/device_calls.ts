/**
 * What calls of one executable have in common: they end when the device does, and see what it refuses.
 *
 * @module
 */
import { DeviceError } from "../engine/backend.ts";
import type { Gpu } from "./device.ts";

/** Calls that use a device, one at a time, until they are closed. */
export class DeviceCalls {
  readonly #gpu: Gpu;
  /** What the device refuses of the call under way. */
  #refusals: Promise<GPUError | null>[] = [];
  #isClosed = false;
  #hasFailed = false;
  /** Rejects the call under way. */
  #fail: (reason: unknown) => void = () => {};

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    // Once for all calls: whatever waits for a promise that never settles stays with it forever.
    gpu.failed.catch((reason) => {
      this.#hasFailed = true;
      this.#fail(reason);
    });
  }

  /** @throws {DeviceError} when the executable is closed. To be asked after each wait: what is bound may be gone. */
  checkOpen(what: string): void {
    if (this.#isClosed) throw new DeviceError(`Cannot ${what}: the executable is closed`);
  }

  /** @returns Whether it was open. */
  close(): boolean {
    const wasOpen = !this.#isClosed;
    this.#isClosed = true;
    return wasOpen;
  }

  /**
   * Does work whose refusal by the device {@link DeviceCalls.guard} is to notice: without a scope a failed encoder yields zeros, and an uncaptured error
   * comes when they are long read. Waits for nothing.
   */
  scoped<T>(work: () => T): T {
    const { device } = this.#gpu;
    device.pushErrorScope("validation");
    try {
      return work();
    } finally {
      this.#refusals.push(device.popErrorScope());
    }
  }

  /**
   * Makes a call.
   *
   * @throws {DeviceError} when the device is lost, in whatever way it shows, or refused something: nothing waits for it without end.
   */
  async guard<T>(work: () => T | Promise<T>): Promise<T> {
    this.checkOpen("use the model");
    const { failed, name } = this.#gpu, { promise: failure, reject } = Promise.withResolvers<never>();
    const checked = async () => {
      const result = await work(), refusal = (await Promise.all(this.#refusals.splice(0))).find((error) => error !== null);
      if (refusal) throw new DeviceError(`${name} refused a batch: ${refusal.message.trim()}`);
      return result;
    };
    try {
      this.#refusals = [];
      this.#fail = reject;
      return await Promise.race([this.#hasFailed ? failed : failure, checked()]);
    } catch (error) {
      if (error instanceof RangeError || error instanceof TypeError) throw error;
      if (this.#isClosed) throw new DeviceError("Cannot use the model: the executable is closed", { cause: error });
      // With a lost device whatever is under way fails, compiling too, before it says that it is lost.
      await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 100))]);
      throw error instanceof DeviceError
        ? error
        : new DeviceError(`${name} failed: ${error instanceof Error ? error.message : error}; load the model again`, { cause: error });
    }
  }
}
