/**
 * Every tolerance of the tests, with its reason.
 *
 * @module
 */

/** One step on the GPU against the f64 oracle, relative to the largest value: f32 sums of up to a few hundred products in another order. */
export const gpuStepTolerance = 2e-5;
