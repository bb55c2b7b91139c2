/**
 * Small records of numbers that kernels read as uniforms: what one dispatch of a pipeline does differently from another.
 *
 * @module
 */
import type { Range } from "./arena.ts";

/** Bytes of a record and distance of two, as uniforms want it; the records of a program fit one buffer but for strange programs. */
const recordBytes = 256, bufferRecords = 256;

/** Uniform buffers full of records; equal records are one. */
export class Parameters {
  /** Bytes of device memory that most programs take. */
  static readonly bytes = recordBytes * bufferRecords;
  readonly #device: GPUDevice;
  readonly #buffers: GPUBuffer[] = [];
  readonly #records = new Map<string, Range>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A binding that holds these numbers as u32, in this order. */
  record(values: readonly number[]): Range {
    const key = values.join();
    const found = this.#records.get(key);
    if (found) return found;
    const place = this.#records.size % bufferRecords;
    if (place === 0) {
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      this.#buffers.push(this.#device.createBuffer({ label: "parameters", size: Parameters.bytes, usage }));
    }
    const range = { buffer: this.#buffers.at(-1)!, offset: place * recordBytes, size: recordBytes };
    this.#device.queue.writeBuffer(range.buffer, range.offset, Uint32Array.from(values));
    this.#records.set(key, range);
    return range;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
