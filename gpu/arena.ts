/**
 * Packs many ranges into few GPU buffers, none larger than one binding may be.
 *
 * @module
 */

/** A range of a buffer, ready to be bound. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** Offsets at which a range may be bound. */
const alignment = 256;

/** Plans ranges first, allocates the buffers once, then hands the ranges out. */
export class Arena {
  readonly #limitBytes: number;
  readonly #sizes: number[] = [];
  readonly #places: { buffer: number; offset: number; size: number }[] = [];
  #buffers: GPUBuffer[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** @returns A number to ask for the range with; ranges asked for one after the other lie one after the other. */
  plan(bytes: number): number {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    let buffer = this.#sizes.length - 1, offset = buffer < 0 ? 0 : Math.ceil(this.#sizes[buffer] / alignment) * alignment;
    if (buffer < 0 || offset + size > this.#limitBytes) {
      buffer = this.#sizes.push(0) - 1;
      offset = 0;
    }
    this.#sizes[buffer] = offset + size;
    return this.#places.push({ buffer, offset, size }) - 1;
  }

  /** The next ranges, `bytes` in all, are to lie in one buffer if that is possible. */
  keepTogether(bytes: number): void {
    const last = this.#sizes.at(-1);
    if (last !== undefined && last > 0 && last + bytes > this.#limitBytes && bytes <= this.#limitBytes) this.#sizes.push(0);
  }

  /** Bytes of all buffers. */
  get bytes(): number {
    return this.#sizes.reduce((sum, size) => sum + size, 0);
  }

  /** The buffers, in the order in which their ranges were planned. */
  get buffers(): readonly GPUBuffer[] {
    return this.#buffers;
  }

  allocate(device: GPUDevice, label: string): void {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    this.#buffers = this.#sizes.map((size, i) => device.createBuffer({ label: `${label} ${i}`, size, usage }));
  }

  range(place: number): Range {
    const { buffer, offset, size } = this.#places[place];
    return { buffer: this.#buffers[buffer], offset, size };
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
