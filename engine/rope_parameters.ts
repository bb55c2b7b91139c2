/**
 * Reading of the RoPE parameters of a `config.json`.
 * Source: `RotaryEmbeddingConfigMixin` in modeling_rope_utils.py of Transformers 5.
 *
 * @module
 */
import type { RopeParameters } from "./config.ts";
import type { Fields } from "./json_fields.ts";

const ropeTypes = ["default", "linear", "dynamic", "yarn", "longrope", "llama3"] as const;

/** The parts of the configuration that RoPE parameters depend on. */
export interface RopeContext {
  readonly defaultTheta: number;
  readonly maxPositionEmbeddings: number;
  readonly headDim: number;
}

/**
 * Brings `rope_parameters` (v5) or `rope_theta` and `rope_scaling` (4.x) into the one form of {@link RopeParameters}. As in Transformers,
 * `rope_scaling` wins over `rope_parameters`, and `original_max_position_embeddings` defaults to `max_position_embeddings` where the type
 * needs it. Unknown keys are ignored.
 *
 * @throws {TypeError} when a key is missing or has the wrong type.
 * @throws {RangeError} when the type is unknown or a value is out of range.
 */
export function parseRopeParameters(config: Fields, context: RopeContext): RopeParameters {
  const theta = config.positive("rope_theta", context.defaultTheta);
  const key = ["rope_scaling", "rope_parameters"].find((key) => config.has(key) && Object.keys(config.object(key).json).length > 0);
  if (key === undefined) return { ropeType: "default", ropeTheta: theta };
  const rope = config.object(key);
  if (rope.has("full_attention") || rope.has("sliding_attention")) {
    throw config.error(key, "has parameters for each layer type: SmolLM3 and Llama have one set for all layers");
  }
  for (const fields of [config, rope]) {
    if (fields.number("partial_rotary_factor", 1) !== 1) throw fields.error("partial_rotary_factor", "must be 1: heads rotate as a whole");
  }
  const typeKey = rope.has("rope_type") ? "rope_type" : "type", name = rope.string(typeKey, "default");
  const ropeType = ropeTypes.find((type) => type === name);
  if (ropeType === undefined) throw rope.error(typeKey, `must be one of ${ropeTypes.join(", ")}, got ${JSON.stringify(name)}`);
  const base = { ropeType, ropeTheta: rope.positive("rope_theta", theta) };

  const optional = (key: string) => rope.has(key) ? rope.positive(key) : undefined;
  // Where Transformers moves it out of the dictionary (Phi-3), the outer one wins.
  const outer = config.has("original_max_position_embeddings") ? config : rope;
  const original = () => outer.integer("original_max_position_embeddings", context.maxPositionEmbeddings, { min: 1 });
  switch (ropeType) {
    case "default":
      return base;
    case "linear":
    case "dynamic":
      return { ...base, factor: rope.positive("factor") };
    case "llama3": {
      const lowFreqFactor = rope.positive("low_freq_factor"), highFreqFactor = rope.positive("high_freq_factor");
      if (highFreqFactor === lowFreqFactor) throw rope.error("high_freq_factor", `must differ from low_freq_factor, got ${highFreqFactor} for both`);
      return { ...base, factor: rope.positive("factor"), lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: original() };
    }
    case "yarn": {
      const originalMaxPositionEmbeddings = original();
      // An explicit null is the ratio of the two lengths; a missing key is an error, as in Transformers.
      const factor = rope.json.factor === null ? context.maxPositionEmbeddings / originalMaxPositionEmbeddings : rope.positive("factor");
      return {
        ...base,
        factor,
        originalMaxPositionEmbeddings,
        attentionFactor: optional("attention_factor"),
        betaFast: optional("beta_fast"),
        betaSlow: optional("beta_slow"),
        mscale: rope.number("mscale", 0) || undefined,
        mscaleAllDim: rope.number("mscale_all_dim", 0) || undefined,
        truncate: rope.boolean("truncate", true),
      };
    }
    case "longrope": {
      const originalMaxPositionEmbeddings = original();
      return {
        ...base,
        factor: optional("factor") ?? context.maxPositionEmbeddings / originalMaxPositionEmbeddings,
        originalMaxPositionEmbeddings,
        attentionFactor: optional("attention_factor"),
        shortFactor: frequencyFactors(rope, "short_factor", context.headDim / 2),
        longFactor: frequencyFactors(rope, "long_factor", context.headDim / 2),
      };
    }
  }
}

function frequencyFactors(rope: Fields, key: string, length: number): readonly number[] {
  const factors = rope.numbers(key);
  if (factors.length !== length) throw rope.error(key, `must have ${length} values (head_dim / 2), got ${factors.length}`);
  const wrong = factors.findIndex((factor) => factor <= 0);
  if (wrong >= 0) throw rope.error(`${key}[${wrong}]`, `must be more than 0, got ${factors[wrong]}`);
  return factors;
}
