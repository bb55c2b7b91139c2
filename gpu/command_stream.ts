/**
 * Dispatches one after the other, submitted in pieces: the device is at work on the first while the others are recorded.
 *
 * @module
 */

/** Dispatches of the first submit and of the largest: small at first, so that the device need not wait; each submit costs as much as some dispatches. */
const firstDispatches = 48, growth = 4, mostDispatches = 768;

/** A recording that submits itself piece by piece. */
export class CommandStream {
  readonly #device: GPUDevice;
  #encoder: GPUCommandEncoder;
  #pass: GPUComputePassEncoder;
  /** Dispatches of this piece so far, and how many it is to have. */
  #count = 0;
  #most = firstDispatches;

  /** @param ahead What was recorded before this; it is submitted at once. */
  constructor(device: GPUDevice, ahead?: GPUCommandBuffer) {
    this.#device = device;
    if (ahead) {
      device.queue.submit([ahead]);
      this.#most *= growth;
    }
    this.#encoder = device.createCommandEncoder();
    this.#pass = this.#encoder.beginComputePass();
  }

  /** The pass for the next dispatch, or the next few that belong together; nothing of it may be kept. */
  get pass(): GPUComputePassEncoder {
    if (this.#count >= this.#most) {
      this.#submit();
      this.#encoder = this.#device.createCommandEncoder();
      this.#pass = this.#encoder.beginComputePass();
      this.#count = 0;
      this.#most = Math.min(growth * this.#most, mostDispatches);
    }
    this.#count++;
    return this.#pass;
  }

  /** Submits the last piece, and behind it what `more` records: copies. */
  finish(more?: (encoder: GPUCommandEncoder) => void): void {
    this.#submit(more);
  }

  #submit(more?: (encoder: GPUCommandEncoder) => void): void {
    this.#pass.end();
    more?.(this.#encoder);
    this.#device.queue.submit([this.#encoder.finish()]);
  }
}
