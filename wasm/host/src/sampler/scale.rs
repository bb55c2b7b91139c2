//! Softmax of a row: weights relative to the largest logit.

use super::exp::Exp;
use super::select::{for_each_chunk, Maxima};
use crate::vector::Vector;

/// A chunk this many nats below the maximum adds less than f64 can tell, whatever the size of the vocabulary.
const NEGLIGIBLE: f32 = -64.0;

/// Turns logits into exponents of their weights: `(x - max) / temperature`.
///
/// Infinity counts as the largest finite number, so that it takes all the weight, shared between all that are infinite.
#[derive(Clone, Copy)]
pub struct Scale {
    max: f32,
    times: f32,
}

/// [`Scale`] for vectors, and the exponential function.
#[derive(Clone, Copy)]
pub struct Weights<V> {
    max: V,
    times: V,
    largest: V,
    exp: Exp<V>,
}

impl<V: Vector> Weights<V> {
    #[inline(always)]
    pub fn exponents(&self, x: V) -> V {
        x.min(self.largest).sub(self.max).mul(self.times)
    }
    #[inline(always)]
    pub fn of(&self, exponents: V) -> V {
        self.exp.of(exponents)
    }
}

impl Scale {
    pub fn new(max: f32, temperature: f64) -> Scale {
        Scale {
            max: max.min(f32::MAX),
            times: (1.0 / temperature).min(f32::MAX as f64) as f32,
        }
    }

    #[inline(always)]
    pub fn weights<V: Vector>(&self) -> Weights<V> {
        let splat = |value: f32| V::splat(core::hint::black_box(value));
        Weights {
            max: splat(self.max),
            times: splat(self.times),
            largest: splat(f32::MAX),
            exp: Exp::prepare(),
        }
    }

    /// The same for one logit.
    pub fn exponent(&self, x: f32) -> f32 {
        (x.min(f32::MAX) - self.max) * self.times
    }

    /// A logit below all whose weight is at least `weight`.
    pub fn logit_below(&self, weight: f64) -> f32 {
        let distance = -weight.ln() / self.times as f64;
        (self.max as f64 - distance * 1.00001 - self.max.abs() as f64 * 1e-6).max(f32::MIN as f64)
            as f32
    }

    /// Sum of the weights of a row.
    pub fn sum<V: Vector>(&self, logits: &[f32], maxima: &Maxima) -> f64 {
        let (mut sum, weights) = (0f64, self.weights::<V>());
        for_each_chunk(logits, |i, chunk| {
            if self.exponent(maxima.chunks[i]) < NEGLIGIBLE {
                return;
            }
            let mut part = V::splat(0.0);
            for values in chunk.as_chunks::<4>().0 {
                part = part.add(weights.of(weights.exponents(V::load_floats(values))));
            }
            let [a, b, c, d] = part.to_array();
            sum += (a as f64 + b as f64) + (c as f64 + d as f64);
        });
        sum
    }

    /// Logarithm of the sum of `e^x` over a row.
    pub fn log_sum<V: Vector>(logits: &[f32], maxima: &Maxima) -> f64 {
        let scale = Scale::new(maxima.row, 1.0);
        scale.max as f64 + scale.sum::<V>(logits, maxima).ln()
    }
}
