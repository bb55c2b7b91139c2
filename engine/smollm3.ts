/**
 * SmolLM3 as a step list; Llama falls out of it when every layer is rotary.
 * Source: modeling_smollm3.py of Transformers (layer i rotates where `no_rope_layers[i]` is 1).
 *
 * @module
 */
import type { SmolLM3Config } from "./config.ts";
import { activations, type Program, ProgramBuilder } from "./program.ts";

/**
 * Emits the decoder and its language-model head.
 *
 * Shapes, with hidden H, heads h, KV heads k, head size d, intermediate I: `x [rows, H]`, `qkv [rows, (h + 2k) d]`, `attended [rows, h d]`,
 * `gated [rows, I]`, `last [outputs, H]`, `logits [outputs, vocab]`.
 */
export function smolLM3(config: SmolLM3Config): Program {
  const { hiddenSize, intermediateSize, vocabSize, numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim, rmsNormEps: eps } = config;
  const q = heads * headDim, kv = kvHeads * headDim;
  const activation = activations.indexOf(config.hiddenAct);
  const p = new ProgramBuilder(config.modelType);
  const x = p.buffer("x", hiddenSize), qkv = p.buffer("qkv", q + 2 * kv), attended = p.buffer("attended", q), gated = p.buffer("gated", intermediateSize);
  const last = p.buffer("last", hiddenSize, "outputs"), logits = p.buffer("logits", vocabSize, "outputs");
  const table = p.weight("embed", hiddenSize, { tensor: "model.embed_tokens.weight", rows: vocabSize });

  p.step("embed", "embed", { table, out: x });
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const at = `model.layers.${i}`;
    const linear = (name: string, cols: number, ...parts: [string, number][]) =>
      p.weight(`${i}.${name}`, cols, ...parts.map(([part, rows]) => ({ tensor: `${at}.${part}.weight`, rows })));
    const bias = (has: boolean, name: string, ...parts: [string, number][]) =>
      has ? p.vector(`${i}.${name}.bias`, ...parts.map(([part, cols]) => ({ tensor: `${at}.${part}.bias`, cols }))) : null;
    const norm = (name: string) => p.vector(`${i}.${name}`, { tensor: `${at}.${name}.weight`, cols: hiddenSize });

    const cache = p.cache(i, kvHeads, headDim);
    const qkvParts: [string, number][] = [["self_attn.q_proj", q], ["self_attn.k_proj", kv], ["self_attn.v_proj", kv]];
    const gateUp: [string, number][] = [["mlp.gate_proj", intermediateSize], ["mlp.up_proj", intermediateSize]];
    const down: [string, number] = ["mlp.down_proj", hiddenSize], output: [string, number] = ["self_attn.o_proj", hiddenSize];
    const dims = { heads, kvHeads, headDim }, rope = config.noRopeLayers[i], window = config.slidingWindows[i];

    p.step("normLinear", `${i}.attn.qkv`, {
      x,
      norm: norm("input_layernorm"),
      weight: linear("qkv", hiddenSize, ...qkvParts),
      bias: bias(config.attentionBias, "qkv", ...qkvParts),
      out: qkv,
      eps,
    });
    p.step("ropeStore", `${i}.attn.rope`, { qkv, cache, ...dims, rope });
    p.step("attention", `${i}.attn`, { qkv, cache, out: attended, ...dims, window });
    p.step("linearAdd", `${i}.attn.out`, { x: attended, weight: linear("o", q, output), bias: bias(config.attentionBias, "o", output), out: x });
    p.step("normGatedLinear", `${i}.mlp.gateUp`, {
      x,
      norm: norm("post_attention_layernorm"),
      weight: linear("gateUp", hiddenSize, ...gateUp),
      bias: bias(config.mlpBias, "gateUp", ...gateUp),
      out: gated,
      eps,
      activation,
    });
    p.step("linearAdd", `${i}.mlp.down`, { x: gated, weight: linear("down", intermediateSize, down), bias: bias(config.mlpBias, "down", down), out: x });
  }
  p.step("gather", "last", { x, out: last });
  const head = config.tieWordEmbeddings ? table : p.weight("head", hiddenSize, { tensor: "lm_head.weight", rows: vocabSize });
  const norm = p.vector("norm", { tensor: "model.norm.weight", cols: hiddenSize });
  p.step("normLinear", "logits", { x: last, norm, weight: head, bias: null, out: logits, eps });
  return p.build(logits);
}
