/**
 * Dispatches that the next call most likely begins with, recorded while the device is at work on this one: it need not wait for them.
 *
 * @module
 */

/** A pass that is recorded and not submitted yet. */
export class RecordedAhead {
  readonly #device: GPUDevice;
  #recorded?: { readonly key: unknown; readonly commands: GPUCommandBuffer };

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** @returns What was recorded for this very object, if that was the last; it is submitted once or never. */
  take(key: unknown): GPUCommandBuffer | undefined {
    const recorded = this.#recorded;
    this.#recorded = undefined;
    return recorded?.key === key ? recorded?.commands : undefined;
  }

  /** Records a pass. What the device refuses of it will be recorded when it is needed, and refused once more. */
  record(key: unknown, work: (pass: GPUComputePassEncoder) => void): void {
    this.#device.pushErrorScope("validation");
    const encoder = this.#device.createCommandEncoder(), pass = encoder.beginComputePass();
    work(pass);
    pass.end();
    const commands = encoder.finish();
    this.#device.popErrorScope().then((error) => this.#recorded = error ? undefined : { key, commands }, () => {});
  }
}
