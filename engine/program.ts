/**
 * The op vocabulary and the step list: what a model emits and every backend compiles. Imports nothing.
 *
 * Everything is `rows x cols`, contiguous, float32; a row is a token of this step (or, in buffers of kind `outputs`, a row whose logits are wanted).
 *
 * @module
 */

/** Which count of the {@link Batch} gives a buffer its number of rows. */
export type RowKind = "tokens" | "outputs";

/** An activation buffer of `rows x cols` float32 values. */
export interface Buffer {
  readonly kind: "buffer";
  readonly id: number;
  readonly name: string;
  readonly cols: number;
  readonly rows: RowKind;
}

/** A checkpoint tensor that makes up `rows` rows of a weight. Tensors of one weight may differ in format. */
export interface WeightPart {
  /** Name in the checkpoint, as Transformers spells it: `model.layers.0.self_attn.q_proj.weight`. */
  readonly tensor: string;
  readonly rows: number;
}

/** A row-major matrix `[rows, cols]`: `rows` outputs of `cols` inputs, its parts one under the other. A vector has one row. */
export interface Weight {
  readonly kind: "weight";
  readonly id: number;
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly parts: readonly WeightPart[];
}

/** K and V of one layer: for each slot `kvHeads * headDim` values of K and as many of V. How they lie in memory is the backend's business. */
export interface Cache {
  readonly kind: "cache";
  readonly layer: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Activation functions, by their number in an op's `activation` constant (names of Transformers' ACT2FN). */
export const activations = ["silu", "gelu", "gelu_pytorch_tanh", "relu"] as const;
/** Name of an activation function. */
export type Activation = (typeof activations)[number];

/**
 * Every op. `binds` is the binding order and `consts` the operand order on every backend; `batch` names the {@link Batch} fields it reads.
 * A `bias` may be null. `writes` names the bound operands it writes. The formulas are the oracle in `tests/oracle.ts`.
 */
export const ops = {
  /** out[r] = table[tokens[r]]; rows of `inputsEmbeds` instead where the batch brings them. */
  embed: { binds: ["table", "out"], consts: [], batch: ["tokens"], writes: ["out"] },
  /** out[r] = rmsNorm(x[r]) * weight^T + bias, where rmsNorm(x) = x / sqrt(mean(x^2) + eps) * norm. */
  normLinear: { binds: ["x", "norm", "weight", "bias", "out"], consts: ["eps"], batch: [], writes: ["out"] },
  /** Rotates the halves of each head of q and k in place by the batch's cos and sin when `rope` is 1, then stores k and v at slots[r]. */
  ropeStore: { binds: ["qkv", "cache"], consts: ["heads", "kvHeads", "headDim", "rope"], batch: ["rope", "slots"], writes: ["qkv", "cache"] },
  /** out[r] = softmax(q[r] . K^T / sqrt(headDim)) . V over the visible keys of the row's sequence; the last `window` of them if window > 0. */
  attention: {
    binds: ["qkv", "cache", "out"],
    consts: ["heads", "kvHeads", "headDim", "window"],
    batch: ["queryStarts", "contextLengths", "blockTables"],
    writes: ["out"],
  },
  /** out[r] += x[r] * weight^T + bias. */
  linearAdd: { binds: ["x", "weight", "bias", "out"], consts: [], batch: [], writes: ["out"] },
  /** out[r] = activation(n * gate^T + biasGate) * (n * up^T + biasUp), n = rmsNorm(x[r]); weight = [gate; up], bias = [biasGate | biasUp]. */
  normGatedLinear: { binds: ["x", "norm", "weight", "bias", "out"], consts: ["eps", "activation"], batch: [], writes: ["out"] },
  /** out[i] = x[outputRows[i]]. */
  gather: { binds: ["x", "out"], consts: [], batch: ["outputRows"], writes: ["out"] },
} as const;

/** Name of an op: the same in the op table, the oracle, `wasm/model/src/ops/NAME.rs` and `gpu/kernels/NAME*.wgsl`. */
export type OpName = keyof typeof ops;
/** What a step binds. */
export type Binding = Buffer | Weight | Cache;
/** Operands of an op by name. */
export type Operands<N extends OpName> =
  & { readonly [K in (typeof ops)[N]["binds"][number]]: K extends "bias" ? Weight | null : Binding }
  & { readonly [K in (typeof ops)[N]["consts"][number]]: number };

/** One op with its operands. */
export interface Step {
  readonly op: OpName;
  /** Where it belongs, for people: `3.attn.rope`. */
  readonly label: string;
  /** In the order of `ops[op].binds`; null is an absent bias. */
  readonly binds: readonly (Binding | null)[];
  /** In the order of `ops[op].consts`. */
  readonly consts: Readonly<Record<string, number>>;
}

/** A model as data. */
export interface Program {
  readonly name: string;
  readonly buffers: readonly Buffer[];
  readonly weights: readonly Weight[];
  readonly caches: readonly Cache[];
  readonly steps: readonly Step[];
  /** The buffer of kind `outputs` that holds the logits `[outputs, vocabSize]`. */
  readonly logits: Buffer;
}

/** Collects steps; the model file is its only caller. Checks names and aliasing as steps are added. */
export class ProgramBuilder {
  #buffers: Buffer[] = [];
  #weights: Weight[] = [];
  #caches: Cache[] = [];
  #steps: Step[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  buffer(name: string, cols: number, rows: RowKind = "tokens"): Buffer {
    const buffer: Buffer = { kind: "buffer", id: this.#buffers.length, name, cols, rows };
    this.#buffers.push(buffer);
    return buffer;
  }

  /** A weight of one or more checkpoint tensors, one under the other. */
  weight(name: string, cols: number, ...parts: WeightPart[]): Weight {
    const rows = parts.reduce((sum, part) => sum + part.rows, 0);
    const weight: Weight = { kind: "weight", id: this.#weights.length, name, rows, cols, parts };
    this.#weights.push(weight);
    return weight;
  }

  /** A vector of one or more checkpoint tensors, side by side: one row. */
  vector(name: string, ...parts: { tensor: string; cols: number }[]): Weight {
    const cols = parts.reduce((sum, part) => sum + part.cols, 0);
    const weight: Weight = {
      kind: "weight",
      id: this.#weights.length,
      name,
      rows: 1,
      cols,
      parts: parts.map((part) => ({ tensor: part.tensor, rows: part.cols })),
    };
    this.#weights.push(weight);
    return weight;
  }

  cache(layer: number, kvHeads: number, headDim: number): Cache {
    const cache: Cache = { kind: "cache", layer, kvHeads, headDim };
    this.#caches.push(cache);
    return cache;
  }

  /** @throws {TypeError} when an operand is missing, or one that the op writes is bound twice. */
  step<N extends OpName>(op: N, label: string, operands: Operands<N>): void {
    const given = operands as Record<string, Binding | number | null>;
    const binds = ops[op].binds.map((name) => {
      const bound = given[name];
      if (bound === undefined || typeof bound === "number") throw new TypeError(`Cannot add step ${label}: ${op} needs ${name}`);
      return bound;
    });
    for (const name of ops[op].writes as readonly string[]) {
      if (binds.filter((bound) => bound === given[name]).length > 1) {
        throw new TypeError(`Cannot add step ${label}: ${op} writes ${name}, which it also binds under another name`);
      }
    }
    const consts = Object.fromEntries(ops[op].consts.map((name) => {
      const value = given[name];
      if (typeof value !== "number") throw new TypeError(`Cannot add step ${label}: ${op} needs the number ${name}`);
      return [name, value];
    }));
    this.#steps.push({ op, label, binds, consts });
  }

  build(logits: Buffer): Program {
    return { name: this.#name, buffers: this.#buffers, weights: this.#weights, caches: this.#caches, steps: this.#steps, logits };
  }
}

/** One line a step, for golden tests and bug reports. */
export function format(program: Program): string {
  const show = (bound: Binding | null) => {
    if (bound === null) return "-";
    if (bound.kind === "cache") return `kv[${bound.layer}]`;
    return bound.kind === "buffer" ? bound.name : `${bound.name}[${bound.rows},${bound.cols}]`;
  };
  return program.steps.map((step) => {
    const consts = Object.entries(step.consts).map(([name, value]) => `${name}=${value}`);
    return [step.label.padEnd(12), step.op.padEnd(15), ...step.binds.map(show), ...consts].join(" ").trimEnd();
  }).join("\n");
}
