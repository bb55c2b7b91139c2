/**
 * The batch on the GPU.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";

/** Buffers that hold a {@link Batch}, sized for the largest one. */
export class BatchInputs {
  readonly batch: GPUBuffer;
  readonly tokens: GPUBuffer;
  readonly angles: GPUBuffer;
  readonly slots: GPUBuffer;
  /** `[rows]` pairs of the row's sequence and the number of keys it sees. */
  readonly rowContext: GPUBuffer;
  readonly blockTables: GPUBuffer;
  readonly outputRows: GPUBuffer;
  readonly #device: GPUDevice;
  /** Blocks of the longest sequence. */
  readonly #tableWidth: number;

  /** Bytes that the buffers take. */
  static bytes(options: CompileOptions, headDim: number): number {
    return 16 + options.maxRows * (16 + 4 * headDim) + blockTableBytes(options) + options.maxOutputs * 4;
  }

  constructor(device: GPUDevice, options: CompileOptions, headDim: number) {
    const storage = (label: string, bytes: number) =>
      device.createBuffer({ label, size: Math.max(16, bytes), usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
    this.#device = device;
    this.#tableWidth = tableWidth(options);
    this.batch = device.createBuffer({ label: "batch", size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    this.tokens = storage("tokens", options.maxRows * 4);
    this.angles = storage("angles", options.maxRows * headDim * 4);
    this.slots = storage("slots", options.maxRows * 4);
    this.rowContext = storage("rowContext", options.maxRows * 8);
    this.blockTables = storage("blockTables", blockTableBytes(options));
    this.outputRows = storage("outputRows", options.maxOutputs * 4);
  }

  write(batch: Batch): void {
    const { queue } = this.#device, rows = batch.tokens.length, sequences = batch.contextLengths.length;
    const put = (buffer: GPUBuffer, data: Uint32Array | Float32Array) => {
      if (data.length > 0) queue.writeBuffer(buffer, 0, data as Uint32Array<ArrayBuffer>);
    };
    const blockTables = cutTables(batch, Math.min(batch.blocksPerSequence, this.#tableWidth)), rowContext = new Uint32Array(2 * rows);
    for (let sequence = 0; sequence < sequences; sequence++) {
      const end = batch.queryStarts[sequence + 1];
      for (let row = batch.queryStarts[sequence]; row < end; row++) {
        rowContext[2 * row] = sequence;
        rowContext[2 * row + 1] = batch.contextLengths[sequence] - (end - 1 - row);
      }
    }
    put(this.batch, new Uint32Array([rows, batch.outputRows.length, sequences, blockTables.length / Math.max(1, sequences)]));
    put(this.tokens, batch.tokens);
    put(this.angles, batch.rope);
    put(this.slots, batch.slots);
    put(this.rowContext, rowContext);
    put(this.blockTables, blockTables);
    put(this.outputRows, batch.outputRows);
  }

  destroy(): void {
    for (const buffer of [this.batch, this.tokens, this.angles, this.slots, this.rowContext, this.blockTables, this.outputRows]) buffer.destroy();
  }
}

function tableWidth({ maxContext, blockSize }: CompileOptions): number {
  return Math.ceil(maxContext / blockSize);
}

function blockTableBytes(options: CompileOptions): number {
  return options.maxSequences * tableWidth(options) * 4;
}

/** Block tables without the entries past `width`, which no context reaches. */
function cutTables({ blockTables, blocksPerSequence, contextLengths }: Batch, width: number): Uint32Array {
  if (width === blocksPerSequence) return blockTables;
  const cut = new Uint32Array(contextLengths.length * width);
  for (let i = 0; i < contextLengths.length; i++) cut.set(blockTables.subarray(i * blocksPerSequence, i * blocksPerSequence + width), i * width);
  return cut;
}
