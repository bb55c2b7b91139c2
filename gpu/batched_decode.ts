/**
 * Steps of any batch with their tokens drawn on the device: each step's dispatches, the sampler, and a kernel that makes the next batch, again and again.
 *
 * @module
 */
import { type CompileOptions, type DecodeRequest, type DecodeResult, noToken, type RowSampling } from "../engine/backend.ts";
import type { Program } from "../engine/program.ts";
import { CommandStream } from "./command_stream.ts";
import type { Gpu } from "./device.ts";
import type { DeviceCalls } from "./device_calls.ts";
import type { ProgramMemory } from "./memory.ts";
import type { Kernel } from "./pipelines.ts";
import { RecordedAhead } from "./recorded_ahead.ts";
import { bind, type StepRecorder } from "./step_recorder.ts";

/** Decodes batches, one dispatch after the other. */
export class BatchedDecode {
  readonly #gpu: Gpu;
  readonly #calls: DeviceCalls;
  readonly #program: Program;
  readonly #memory: ProgramMemory;
  readonly #recorder: StepRecorder;
  readonly #kernel: Kernel;
  /** Set by the first request of several steps. */
  #advance?: { readonly pipeline: GPUComputePipeline; readonly group: GPUBindGroup };
  /** A whole step, by its dispatches. */
  readonly #ahead: RecordedAhead;

  constructor(gpu: Gpu, calls: DeviceCalls, program: Program, options: CompileOptions, memory: ProgramMemory, recorder: StepRecorder) {
    [this.#gpu, this.#calls, this.#program, this.#memory, this.#recorder] = [gpu, calls, program, memory, recorder];
    this.#ahead = new RecordedAhead(gpu.device);
    const constants = { head_dim: program.caches[0]?.headDim ?? 0, block_size: options.blockSize };
    this.#kernel = { name: "advance", parts: ["advance", "batch"], access: "urrrwwwww", constants };
  }

  /** Makes the tokens that a request asks for. */
  async decode({ batch, sampling, steps, rope }: DecodeRequest): Promise<DecodeResult> {
    const { readback, sampler } = this.#memory, outputs = sampling.length, isDrawn = sampling.some((row) => row !== undefined);
    const { recorded } = await this.#recorder.prepare(batch, rope);
    if (isDrawn) await sampler.prepare(sampling, steps);
    const advance = steps > 1 ? this.#advance ??= await this.#prepareAdvance() : undefined;
    this.#calls.checkOpen("run a batch");
    const logits = this.#memory.buffer(this.#program.logits), rowBytes = this.#program.logits.cols * 4, madeBytes = isDrawn ? steps * outputs * 4 : 0;
    const wanted = sampling.flatMap((row, i) => row ? [] : [i]), bytes = madeBytes + wanted.length * rowBytes;
    const ahead = batch.inputsEmbeds ? undefined : this.#ahead.take(recorded);
    this.#calls.scoped(() => {
      const stream = new CommandStream(this.#gpu.device, ahead);
      for (let step = 0; step < steps; step++) {
        if (step > 0) {
          const { pass } = stream;
          pass.setPipeline(advance!.pipeline);
          pass.setBindGroup(0, advance!.group);
          pass.dispatchWorkgroups(outputs);
        }
        if (step > 0 || !ahead) this.#recorder.record(stream, recorded, step === 0 && batch.inputsEmbeds ? 1 : 0);
        if (isDrawn) sampler.record(stream.pass);
      }
      stream.finish((encoder) => {
        readback.reserve(bytes);
        if (isDrawn) readback.record(encoder, sampler.made, 0, madeBytes);
        for (let i = 0, end = 0; i < wanted.length; i = end) { // rows that follow one another in one piece
          for (end = i + 1; wanted[end] === wanted[end - 1] + 1;) end++;
          readback.record(encoder, logits, wanted[i] * rowBytes, (end - i) * rowBytes, madeBytes + i * rowBytes);
        }
      });
    });
    // After a row of each sequence mostly comes the next one of each, which needs the same dispatches.
    if (outputs === batch.tokens.length) this.#ahead.record(recorded, (pass) => this.#recorder.record({ pass }, recorded));
    const view = bytes > 0 ? await readback.view(bytes) : new ArrayBuffer(0);
    return {
      tokens: isDrawn ? new Uint32Array(view, 0, steps * outputs).slice() : new Uint32Array(outputs).fill(noToken),
      logits: new Float32Array(view, madeBytes, wanted.length * rowBytes / 4),
    };
  }

  /** Draws tokens from logits of the host. */
  async draw(rows: readonly Float32Array[], sampling: readonly RowSampling[]): Promise<Uint32Array> {
    const { readback, sampler } = this.#memory, { device } = this.#gpu, logits = this.#memory.buffer(this.#program.logits), bytes = rows.length * 4;
    await sampler.prepare(sampling, 1);
    this.#calls.checkOpen("draw tokens");
    this.#calls.scoped(() => {
      rows.forEach((row, i) => device.queue.writeBuffer(logits, i * row.byteLength, row as Float32Array<ArrayBuffer>));
      const stream = new CommandStream(device);
      sampler.record(stream.pass);
      stream.finish((encoder) => {
        readback.reserve(bytes);
        readback.record(encoder, sampler.made, 0, bytes);
      });
    });
    return new Uint32Array(await readback.read(bytes));
  }

  async #prepareAdvance() {
    const { pipeline, layout } = await this.#gpu.pipelines.get(this.#kernel), { inputs, sampler } = this.#memory;
    this.#calls.checkOpen("run a batch");
    const { batch, anglesAhead, blockTables, rounds, tokens, slots, rowContext, angles } = inputs;
    const resources = [batch, sampler.last, anglesAhead, blockTables, rounds, tokens, slots, rowContext, angles];
    return { pipeline, group: this.#calls.scoped(() => bind(this.#gpu.device, layout, resources, "advance")) };
  }
}
