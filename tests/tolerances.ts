/**
 * Every tolerance of the tests, with its reason.
 *
 * @module
 */

/** One step on the GPU against the f64 oracle, relative to the largest value: f32 sums of up to a few hundred products in another order. */
export const gpuStepTolerance = 2e-5;

/** Logits against Transformers in float32: both sum the same products in another order, and Transformers rounds each activation. */
export const goldenLogitsTolerance = 1e-4;

/** One step on the CPU against the f64 oracle, relative to the largest value: f32 sums of up to a few hundred products in another order. */
export const wasmStepTolerance = 1e-5;

/** The same with int8 activations: each product is off by up to 1/254 of its block's largest activation, and the errors mostly cancel in sums of 64 and more. */
export const wasmInt8StepTolerance = 3e-2;

/** What storing K and V in a number type costs, relative: half a unit in the last place of its mantissa. */
export const cacheRounding = { f32: 0, f16: 2 ** -11, bf16: 2 ** -8 };

/**
 * Logits of GGUF files with types that are loaded as another type, against Transformers on the exactly dequantized weights: q2_k, q3_k and the like
 * become types with a scale every 32 values in float16, whose rounding is at most 2^-11 of a weight.
 */
export const convertedLogitsTolerance = 3e-3;

/** Logits of a two-layer random model with int8 activations against exact ones, relative in norm: each of a dozen roundings brings up to 1/254 of a block's largest value. */
export const int8ActivationsTolerance = 0.03;

/**
 * Logits of 36 layers on one device against another, relative in norm. Both round K and V to f16 and, with int8 activations, each block of each linear's
 * input: a last bit that differs before a rounding can differ by a whole step after it. Measured: 2e-4 and 3e-3.
 */
export const deepTolerance = { auto: 2e-3, float32: 2e-3, int8: 3e-2 };
