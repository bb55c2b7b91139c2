/**
 * The oracle as a {@link Backend}: whatever runs on a device runs on plain loops too, slowly. Weights and the KV cache are float32.
 *
 * @module
 */
import type { Backend, CompileOptions, DecodeRequest, DecodeResult, Executable } from "../engine/backend.ts";
import type { Batch } from "../engine/batch.ts";
import type { Sampler } from "../engine/host.ts";
import type { Binding, Program } from "../engine/program.ts";
import { decodeBySteps } from "./decode_by_steps.ts";
import { runOracle } from "./oracle.ts";

/** A reference device for tests. */
export const oracleBackend: Backend = {
  device: "wasm",
  formats: new Set(["f32"]),
  estimate: () => 0,
  compile: (program, options) => Promise.resolve(new OracleExecutable(program, options)),
};

/** The same, drawing tokens on its own. */
export function drawingOracle(sampler: Sampler): Backend {
  return { ...oracleBackend, compile: (program, options) => Promise.resolve(new DrawingOracle(program, options, sampler)) };
}

class OracleExecutable implements Executable {
  readonly #program: Program;
  readonly #options: CompileOptions;
  readonly #memory = new Map<Binding, Float32Array>();
  /** Where a tensor's rows start in its weight, and how many values a row has. */
  readonly #tensors = new Map<string, { values: Float32Array; cols: number }>();
  #closed = false;

  constructor(program: Program, options: CompileOptions) {
    this.#program = program;
    this.#options = options;
    for (const buffer of program.buffers) {
      this.#memory.set(buffer, new Float32Array((buffer.rows === "tokens" ? options.maxRows : options.maxOutputs) * buffer.cols));
    }
    for (const cache of program.caches) this.#memory.set(cache, new Float32Array(options.blocks * options.blockSize * 2 * cache.kvHeads * cache.headDim));
    for (const weight of program.weights) {
      const values = new Float32Array(weight.rows * weight.cols);
      this.#memory.set(weight, values);
      const isVector = weight.rows === 1 && weight.parts[0].rows !== 1;
      let start = 0;
      for (const part of weight.parts) {
        const size = isVector ? part.rows : part.rows * weight.cols;
        this.#tensors.set(part.tensor, { values: values.subarray(start, start + size), cols: isVector ? part.rows : weight.cols });
        start += size;
      }
    }
  }

  writeRows(tensor: string, firstRow: number, bytes: Uint8Array): void {
    const place = this.#tensors.get(tensor);
    if (place === undefined) throw new TypeError(`Cannot write ${tensor}: the program has no such tensor`);
    new Uint8Array(place.values.buffer, place.values.byteOffset, place.values.byteLength).set(bytes, firstRow * place.cols * 4);
  }

  finishWeights(): Promise<void> {
    return Promise.resolve();
  }

  execute(batch: Batch): Promise<Float32Array> {
    if (this.#closed) return Promise.reject(new TypeError("The executable is closed"));
    const rows = batch.tokens.length, outputs = batch.outputRows.length;
    this.#check(batch);
    runOracle(this.#program, batch, this.#options.blockSize, (bound) => {
      const whole = this.#memory.get(bound)!;
      return bound.kind === "buffer" ? whole.subarray(0, (bound.rows === "tokens" ? rows : outputs) * bound.cols) : whole;
    });
    return Promise.resolve(this.#memory.get(this.#program.logits)!.subarray(0, outputs * this.#program.logits.cols));
  }

  /** What a device would do with a bad batch is undefined; here it is an error. */
  #check(batch: Batch): void {
    const { maxRows, maxOutputs, maxSequences, maxContext, blocks, blockSize } = this.#options;
    const sequences = batch.contextLengths.length;
    const within = (what: string, value: number, most: number) => {
      if (value > most) throw new RangeError(`Bad batch: ${what} is ${value}, at most ${most} was compiled`);
    };
    within("rows", batch.tokens.length, maxRows);
    within("outputs", batch.outputRows.length, maxOutputs);
    within("sequences", sequences, maxSequences);
    for (const length of batch.contextLengths) within("a context", length, maxContext);
    for (const slot of batch.slots) within("a slot", slot, blocks * blockSize - 1);
    if (new Set(batch.slots).size !== batch.slots.length) throw new RangeError("Bad batch: two rows share a slot");
    if (batch.queryStarts.length !== sequences + 1 || batch.queryStarts[sequences] !== batch.tokens.length) throw new RangeError("Bad batch: queryStarts");
    if (batch.blockTables.length !== sequences * batch.blocksPerSequence) throw new RangeError("Bad batch: blockTables");
  }

  read(buffer: string, rows: number): Promise<Float32Array> {
    const found = this.#program.buffers.find((candidate) => candidate.name === buffer);
    if (found === undefined) return Promise.reject(new TypeError(`The program has no buffer ${buffer}`));
    return Promise.resolve(this.#memory.get(found)!.slice(0, rows * found.cols));
  }

  close(): void {
    this.#closed = true;
    this.#memory.clear();
  }
}

class DrawingOracle extends OracleExecutable {
  readonly maxDecodeSteps = 16;
  readonly #sampler: Sampler;
  readonly #blockSize: number;

  constructor(program: Program, options: CompileOptions, sampler: Sampler) {
    super(program, options);
    this.#sampler = sampler;
    this.#blockSize = options.blockSize;
  }

  decode(request: DecodeRequest): Promise<DecodeResult> {
    return decodeBySteps(request, { execute: (batch) => this.execute(batch), sampler: this.#sampler, blockSize: this.#blockSize });
  }
}
