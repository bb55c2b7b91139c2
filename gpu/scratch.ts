/**
 * Memory that dispatches of one step use between each other; its contents mean nothing outside a step.
 *
 * @module
 */
import type { CompileOptions } from "../engine/backend.ts";
import type { Buffer, Program, Weight } from "../engine/program.ts";
import { mostPartials } from "./batch_inputs.ts";
import { Parameters } from "./parameters.ts";

/** Most bytes of the planes of a linear whose K is split. */
const mostPlaneBytes = 32 << 20;

/** Sizes in bytes, by name. */
function sizes(program: Program, options: CompileOptions) {
  const rows = Math.max(options.maxRows, options.maxOutputs);
  const linears = program.steps.filter(({ op }) => op === "normLinear" || op === "normGatedLinear" || op === "linearAdd");
  const products = program.steps.filter(({ op }) => op === "normGatedLinear").map(({ binds }) => binds[4] as Buffer);
  const gated = Math.max(0, ...products.map(({ cols }) => cols));
  const inner = Math.max(0, ...linears.map(({ binds }) => binds[0] as Buffer).filter((x) => !products.includes(x)).map(({ cols }) => cols));
  const normed = Math.max(0, ...linears.filter(({ op }) => op !== "linearAdd").map(({ binds }) => (binds[0] as Buffer).cols));
  const outer = Math.max(0, ...linears.map(({ op, binds }) => (binds[op === "linearAdd" ? 1 : 2] as Weight).rows));
  const attention = program.steps.find(({ op }) => op === "attention")?.consts, int8 = options.activations === "int8" ? 1 : 0;
  return {
    normed: rows * normed * 4,
    units: int8 * rows * inner,
    factors: int8 * rows * inner / 4,
    gatedUnits: int8 * rows * gated,
    gatedFactors: int8 * rows * gated / 4,
    planes: Math.min(mostPlaneBytes, 8 * rows * outer * 4),
    partial: attention ? mostPartials(options) * attention.heads * (attention.headDim + 4) * 4 : 0,
    nothing: 16,
  };
}

/** The buffers. */
export class Scratch {
  /** Normalised rows on their way from a norm to a linear, f32 `[rows, widest]`. */
  readonly normed: GPUBuffer;
  /** The int8 image of the rows that a linear multiplies, and the factors of its blocks of 32 (quantize_rows.wgsl). */
  readonly units: GPUBuffer;
  readonly factors: GPUBuffer;
  /** As {@link Scratch.units} and {@link Scratch.factors}, for products of gate and up: they are made while those are read. */
  readonly gatedUnits: GPUBuffer;
  readonly gatedFactors: GPUBuffer;
  /** Sums of a linear whose K is split (linear_sum.wgsl). */
  readonly planes: GPUBuffer;
  /** Attention of slices of a context (attention_combine.wgsl). */
  readonly partial: GPUBuffer;
  /** Bound where a kernel declares a bias or scales that it does not use. */
  readonly nothing: GPUBuffer;
  readonly parameters: Parameters;

  /** Bytes of device memory. */
  static bytes(program: Program, options: CompileOptions): number {
    return Object.values(sizes(program, options)).reduce((sum, bytes) => sum + bytes, Parameters.bytes);
  }

  constructor(device: GPUDevice, program: Program, options: CompileOptions) {
    const bytes = sizes(program, options);
    const make = (name: keyof typeof bytes) =>
      device.createBuffer({ label: name, size: Math.max(16, Math.ceil(bytes[name] / 16) * 16), usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
    this.normed = make("normed");
    this.units = make("units");
    this.factors = make("factors");
    this.gatedUnits = make("gatedUnits");
    this.gatedFactors = make("gatedFactors");
    this.planes = make("planes");
    this.partial = make("partial");
    this.nothing = make("nothing");
    this.parameters = new Parameters(device);
  }

  destroy(): void {
    const { normed, units, factors, gatedUnits, gatedFactors, planes, partial, nothing } = this;
    for (const buffer of [normed, units, factors, gatedUnits, gatedFactors, planes, partial, nothing]) buffer.destroy();
    this.parameters.destroy();
  }
}
