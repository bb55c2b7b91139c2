/**
 * Reads small results without the 10 ms that Deno sleeps before a map promise resolves: the data is there when `mapAsync` returns.
 *
 * @module
 */

/** A staging buffer that is read again and again. */
export class Readback {
  readonly #device: GPUDevice;
  readonly #usualBytes: number;
  #buffer: GPUBuffer;
  /** Whether `mapAsync` is known to block, and the buffer has been mapped: then nobody need await it. Undefined before the first mapping. */
  #isBlocking: boolean | undefined;
  #isMapped = false;

  /**
   * The first read takes some milliseconds more where it is not primed.
   *
   * @param usualBytes As many as it grows to in few steps; further where more is read.
   */
  constructor(device: GPUDevice, bytes: number, usualBytes = bytes) {
    [this.#device, this.#usualBytes, this.#buffer] = [device, usualBytes, createBuffer(device, bytes)];
  }

  /** A primed one. */
  static async create(device: GPUDevice, bytes: number): Promise<Readback> {
    const readback = new Readback(device, bytes);
    await readback.prime();
    return readback;
  }

  /** Maps the buffer once, without which `getMappedRange` aborts the process when nobody awaited the mapping. */
  async prime(): Promise<void> {
    await this.#buffer.mapAsync(GPUMapMode.READ);
    this.#buffer.unmap();
    this.#isBlocking = true;
  }

  /** Makes room for a read of so many bytes, before anything of it is recorded; memory that both sides reach takes long to get. Ends what was read before. */
  reserve(bytes: number): void {
    if (bytes <= this.#buffer.size) return;
    const larger = Math.max(bytes, Math.min(2 * this.#buffer.size, this.#usualBytes));
    this.#unmap();
    this.#buffer.destroy();
    [this.#buffer, this.#isBlocking] = [createBuffer(this.#device, larger), undefined];
  }

  /** Records the copy of `bytes` of `source` into this buffer. */
  record(encoder: GPUCommandEncoder, source: GPUBuffer, sourceOffset: number, bytes: number, offset = 0): void {
    this.#unmap();
    encoder.copyBufferToBuffer(source, sourceOffset, this.#buffer, offset, bytes);
  }

  /** Waits for everything submitted and returns a copy of the first `bytes`. */
  async read(bytes: number): Promise<ArrayBuffer> {
    return (await this.view(bytes)).slice();
  }

  /** The same without the copy: valid until the next call of anything here. It may be written to; nobody else sees that. */
  async view(bytes: number): Promise<ArrayBuffer> {
    this.#unmap();
    const mapped = this.#buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    if (this.#isBlocking) {
      mapped.catch(() => {}); // settles on its own, some milliseconds later
      try {
        return this.#range(bytes);
      } catch {
        // A runtime whose mapAsync does not block, or a lost device: the promise knows which.
      }
    }
    await mapped;
    this.#isBlocking = this.#isBlocking === undefined;
    return this.#range(bytes);
  }

  #range(bytes: number): ArrayBuffer {
    const range = this.#buffer.getMappedRange(0, bytes);
    this.#isMapped = true;
    return range;
  }

  #unmap(): void {
    if (this.#isMapped) this.#buffer.unmap();
    this.#isMapped = false;
  }

  destroy(): void {
    this.#buffer.destroy();
  }
}

function createBuffer(device: GPUDevice, bytes: number): GPUBuffer {
  return device.createBuffer({ label: "readback", size: Math.ceil(bytes / 4) * 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
}
