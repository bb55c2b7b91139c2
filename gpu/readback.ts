/**
 * Reads small results without the 10 ms that Deno sleeps before a map promise resolves: the data is there when `mapAsync` returns.
 *
 * @module
 */

/** A staging buffer that is read again and again. */
export class Readback {
  readonly #buffer: GPUBuffer;
  readonly bytes: number;
  #blocking = true;

  private constructor(buffer: GPUBuffer, bytes: number) {
    this.#buffer = buffer;
    this.bytes = bytes;
  }

  /** Maps the buffer once, which must have happened before `getMappedRange` may be called without awaiting. */
  static async create(device: GPUDevice, bytes: number): Promise<Readback> {
    const buffer = device.createBuffer({ size: Math.ceil(bytes / 4) * 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    await buffer.mapAsync(GPUMapMode.READ);
    buffer.unmap();
    return new Readback(buffer, bytes);
  }

  /** Records the copy of `bytes` of `source` into this buffer. */
  record(encoder: GPUCommandEncoder, source: GPUBuffer, sourceOffset: number, bytes: number, offset = 0): void {
    encoder.copyBufferToBuffer(source, sourceOffset, this.#buffer, offset, bytes);
  }

  /** Waits for everything submitted and returns a copy of the first `bytes`. */
  async read(bytes: number): Promise<ArrayBuffer> {
    const mapped = this.#buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    if (this.#blocking) {
      mapped.catch(() => {});
      try {
        return this.#take(bytes);
      } catch {
        this.#blocking = false; // a runtime whose mapAsync does not block: await from now on
      }
    }
    await mapped;
    return this.#take(bytes);
  }

  #take(bytes: number): ArrayBuffer {
    const copy = this.#buffer.getMappedRange(0, bytes).slice(0);
    this.#buffer.unmap();
    return copy;
  }

  destroy(): void {
    this.#buffer.destroy();
  }
}
