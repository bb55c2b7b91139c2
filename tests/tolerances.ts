/**
 * Every tolerance of the tests, with its reason.
 *
 * @module
 */

/** One step on the GPU against the f64 oracle, relative to the largest value: f32 sums of up to a few hundred products in another order. */
export const gpuStepTolerance = 2e-5;

/** Logits against Transformers in float32: both sum the same products in another order, and Transformers rounds each activation. */
export const goldenLogitsTolerance = 1e-4;
