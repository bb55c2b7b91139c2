/**
 * The oracle: every op as plain loops with f64 accumulation. Slow, obvious, never optimised. Fused ops are written from the unfused ones.
 *
 * Memory: activations, weights (dequantized) and caches are Float32Arrays; a cache is `[slots, 2, kvHeads, headDim]`.
 *
 * @module
 */
import type { Batch } from "../engine/batch.ts";
import { type Activation, activations, type Binding, type OpName, type Program } from "../engine/program.ts";

type F = Float32Array;
type C = Readonly<Record<string, number>>;

/** out = x / sqrt(mean(x^2) + eps) * norm, for one row. */
export function rmsNorm(x: F, norm: F, eps: number): Float64Array {
  let sum = 0;
  for (const value of x) sum += value * value;
  const scale = 1 / Math.sqrt(sum / x.length + eps);
  return Float64Array.from(x, (value, i) => value * scale * norm[i]);
}

/** `x [inner] * weight^T [outer, inner] + bias`. */
export function linear(x: ArrayLike<number>, weight: F, bias: F | null): Float64Array {
  const inner = x.length, outer = weight.length / inner, out = new Float64Array(outer);
  for (let o = 0; o < outer; o++) {
    let sum = 0;
    for (let i = 0; i < inner; i++) sum += x[i] * weight[o * inner + i];
    out[o] = sum + (bias === null ? 0 : bias[o]);
  }
  return out;
}

/** Gauss error function (Abramowitz and Stegun 7.1.26 is too coarse: series and continued fraction). */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a, sum = a;
    for (let n = 1; n < 80; n++) {
      term *= -a * a / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * 2 / Math.sqrt(Math.PI) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

/** Activation functions of Transformers' ACT2FN. */
export const activate: Record<Activation, (x: number) => number> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => x * 0.5 * (1 + erf(x / Math.SQRT2)),
  gelu_pytorch_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => Math.max(0, x),
};

/** Where the `position`-th key of a sequence lies. */
function slotOf(batch: Batch, sequence: number, position: number, blockSize: number): number {
  const block = batch.blockTables[sequence * batch.blocksPerSequence + Math.floor(position / blockSize)];
  return block * blockSize + position % blockSize;
}

// deno-lint-ignore no-explicit-any -- each op destructures its own operands
type Op = (batch: Batch, rows: number, binds: any, consts: C, blockSize: number) => void;

/** One function an op; operands in the order of `ops[op].binds`. */
export const oracle: Record<OpName, Op> = {
  embed(batch, rows, [table, out]: [F, F]) {
    const cols = out.length / rows;
    if (batch.inputsEmbeds) out.set(batch.inputsEmbeds);
    else for (let r = 0; r < rows; r++) out.set(table.subarray(batch.tokens[r] * cols, (batch.tokens[r] + 1) * cols), r * cols);
  },
  normLinear(_, rows, [x, norm, weight, bias, out]: [F, F, F, F | null, F], { eps }) {
    const inner = x.length / rows;
    for (let r = 0; r < rows; r++) out.set(linear(rmsNorm(x.subarray(r * inner, (r + 1) * inner), norm, eps), weight, bias), r * out.length / rows);
  },
  ropeStore(batch, rows, [qkv, cache]: [F, F], { heads, kvHeads, headDim, rope }) {
    const kv = kvHeads * headDim, stride = heads * headDim + 2 * kv, half = headDim / 2;
    for (let r = 0; r < rows; r++) {
      for (let h = 0; rope && h < heads + kvHeads; h++) {
        for (let i = 0; i < half; i++) {
          const cos = batch.rope[r * headDim + i], sin = batch.rope[r * headDim + half + i];
          const at = r * stride + h * headDim + i, a = qkv[at], b = qkv[at + half];
          qkv[at] = a * cos - b * sin;
          qkv[at + half] = b * cos + a * sin;
        }
      }
      cache.set(qkv.subarray(r * stride + heads * headDim, (r + 1) * stride), batch.slots[r] * 2 * kv);
    }
  },
  attention(batch, _rows, [qkv, cache, out]: [F, F, F], { heads, kvHeads, headDim, window }, blockSize) {
    const kv = kvHeads * headDim, stride = heads * headDim + 2 * kv;
    for (let sequence = 0; sequence < batch.contextLengths.length; sequence++) {
      const end = batch.queryStarts[sequence + 1];
      for (let r = batch.queryStarts[sequence]; r < end; r++) {
        const visible = batch.contextLengths[sequence] - (end - 1 - r), first = window > 0 ? Math.max(0, visible - window) : 0;
        for (let h = 0; h < heads; h++) {
          const g = Math.floor(h * kvHeads / heads) * headDim, query = r * stride + h * headDim;
          const at = Array.from({ length: visible - first }, (_, t) => slotOf(batch, sequence, first + t, blockSize) * 2 * kv + g);
          const scores = at.map((key) => {
            let dot = 0;
            for (let i = 0; i < headDim; i++) dot += qkv[query + i] * cache[key + i];
            return dot / Math.sqrt(headDim);
          });
          const max = scores.reduce((a, b) => Math.max(a, b), -Infinity);
          const weights = scores.map((score) => Math.exp(score - max)), total = weights.reduce((a, b) => a + b, 0);
          for (let i = 0; i < headDim; i++) {
            let sum = 0;
            for (let t = 0; t < at.length; t++) sum += weights[t] * cache[at[t] + kv + i];
            out[r * heads * headDim + h * headDim + i] = sum / total;
          }
        }
      }
    }
  },
  linearAdd(_, rows, [x, weight, bias, out]: [F, F, F | null, F]) {
    const inner = x.length / rows, outer = out.length / rows;
    for (let r = 0; r < rows; r++) {
      const sums = linear(x.subarray(r * inner, (r + 1) * inner), weight, bias);
      for (let o = 0; o < outer; o++) out[r * outer + o] += sums[o];
    }
  },
  normGatedLinear(_, rows, [x, norm, weight, bias, out]: [F, F, F, F | null, F], { eps, activation }) {
    const inner = x.length / rows, outer = out.length / rows, act = activate[activations[activation]];
    for (let r = 0; r < rows; r++) {
      const both = linear(rmsNorm(x.subarray(r * inner, (r + 1) * inner), norm, eps), weight, bias);
      for (let o = 0; o < outer; o++) out[r * outer + o] = act(both[o]) * both[outer + o];
    }
  },
  gather(batch, _, [x, out]: [F, F]) {
    const cols = out.length / batch.outputRows.length;
    batch.outputRows.forEach((row, i) => out.set(x.subarray(row * cols, (row + 1) * cols), i * cols));
  },
};

/** Array of a binding, cut to the batch's rows. */
export type Memory = (bound: Binding) => Float32Array;

/**
 * Runs a program on the oracle.
 *
 * @param memory Gives weights (all parts concatenated, dequantized) and caches whole, buffers as `rows x cols`.
 * @param after Called after each step with its index.
 */
export function runOracle(program: Program, batch: Batch, blockSize: number, memory: Memory, after?: (step: number) => void): void {
  program.steps.forEach((step, index) => {
    const x = step.binds.find((bound) => bound?.kind === "buffer");
    const rows = x?.kind === "buffer" && x.rows === "outputs" ? batch.outputRows.length : batch.tokens.length;
    const binds = step.binds.map((bound) => bound === null ? null : memory(bound));
    oracle[step.op](batch, rows, binds, step.consts, blockSize);
    after?.(index);
  });
}
