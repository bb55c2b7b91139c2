//! Drawing from a whole row, or from its nucleus, without sorting it: weights are summed in buckets of almost equal logits, and only the bucket
//! where the nucleus ends and the one that is drawn from are sorted.

use super::exp::ROUND;
use super::scale::{Scale, Weights};
use super::select::{collect, for_each_chunk, Candidate, Maxima};
use crate::vector::Vector;
use core::hint::black_box;

const BUCKETS: usize = 2048;
/// Buckets in a factor of e between weights; the last bucket holds all that is 64 nats below the maximum or more.
const PER_NAT: f32 = 32.0;

/// Memory that is kept from row to row.
pub struct Buckets {
    masses: [f64; BUCKETS],
    candidates: Vec<Candidate>,
}

impl Default for Buckets {
    fn default() -> Self {
        Buckets {
            masses: [0.0; BUCKETS],
            candidates: Vec::new(),
        }
    }
}

/// Bucket of each exponent, in the lowest bits of a float ([`ROUND`]).
struct Place<V> {
    per_nat: V,
    last: V,
    round: V,
}

impl<V: Vector> Place<V> {
    #[inline(always)]
    fn new() -> Self {
        let splat = |value: f32| V::splat(black_box(value));
        Place {
            per_nat: splat(-PER_NAT),
            last: splat((BUCKETS - 1) as f32),
            round: splat(ROUND),
        }
    }
    #[inline(always)]
    fn of(&self, exponents: V) -> V {
        exponents.mul(self.per_nat).min(self.last).add(self.round)
    }
}

/// Sorted logits of one bucket and the weight of all before it.
struct Bucket<'a> {
    candidates: &'a [Candidate],
    before: f64,
}

impl Buckets {
    /// Draws from the smallest set of the best logits whose weight is more than `top_p` of the whole.
    ///
    /// `uniform` in [0, 1) is the share of the kept weight, best logits first, up to the drawn one.
    pub fn draw<V: Vector>(
        &mut self,
        logits: &[f32],
        maxima: &Maxima,
        scale: Scale,
        top_p: f64,
        uniform: f64,
    ) -> usize {
        self.fill::<V>(logits, maxima, scale);
        let weights = scale.weights::<V>();
        let total: f64 = self.masses.iter().sum();
        let mut kept = total;
        if top_p < 1.0 {
            // Kept are those before which there is less than this.
            let limit = top_p * total;
            let last = self.last_bucket(|before, _| before < limit);
            let Bucket { candidates, before } = self.sort::<V>(logits, maxima, scale, last);
            kept = before;
            for (i, candidate) in candidates.iter().enumerate() {
                if kept >= limit && (i > 0 || last > 0) {
                    break;
                }
                kept += weight(&weights, *candidate);
            }
        }
        let target = uniform * kept;
        let drawn = self.last_bucket(|before, mass| before <= target && mass > 0.0);
        let Bucket { candidates, before } = self.sort::<V>(logits, maxima, scale, drawn);
        let mut sum = before;
        for candidate in candidates {
            sum += weight(&weights, *candidate);
            if sum > target {
                return candidate.id();
            }
        }
        // Only where the order of summation matters: the last that has a weight.
        candidates
            .iter()
            .rev()
            .find(|c| weight(&weights, **c) > 0.0)
            .map_or(0, |c| c.id())
    }

    fn fill<V: Vector>(&mut self, logits: &[f32], maxima: &Maxima, scale: Scale) {
        self.masses.fill(0.0);
        let (masses, weights, place) = (&mut self.masses, scale.weights::<V>(), Place::<V>::new());
        for_each_chunk(logits, |i, chunk| {
            // All in the last bucket, where nothing counts.
            if scale.exponent(maxima.chunks[i]) * -PER_NAT >= BUCKETS as f32 {
                return;
            }
            for values in chunk.as_chunks::<4>().0 {
                let exponents = weights.exponents(V::load_floats(values));
                let places = place.of(exponents).to_array();
                for (weight, place) in weights.of(exponents).to_array().into_iter().zip(places) {
                    masses[place.to_bits() as usize % BUCKETS] += weight as f64;
                }
            }
        });
    }

    /// The last bucket of which `f(weight before it, its weight)` holds; the first bucket when there is none.
    fn last_bucket(&self, f: impl Fn(f64, f64) -> bool) -> usize {
        let (mut before, mut last) = (0.0, 0);
        for (i, mass) in self.masses.iter().enumerate() {
            if *mass > 0.0 && f(before, *mass) {
                last = i;
            }
            before += mass;
        }
        last
    }

    fn sort<V: Vector>(
        &mut self,
        logits: &[f32],
        maxima: &Maxima,
        scale: Scale,
        bucket: usize,
    ) -> Bucket<'_> {
        let (weights, place) = (scale.weights::<V>(), Place::<V>::new());
        let wanted = V::splat(ROUND + bucket as f32);
        let hits = |values: V| place.of(weights.exponents(values)).eq(wanted).bitmask();
        // A chunk below this cannot reach into the bucket.
        let bound = scale.logit_below((-((bucket + 1) as f64) / PER_NAT as f64).exp());
        collect::<V>(logits, maxima, bound, hits, &mut self.candidates);
        Bucket {
            candidates: &self.candidates,
            before: self.masses[..bucket].iter().sum(),
        }
    }
}

fn weight<V: Vector>(weights: &Weights<V>, candidate: Candidate) -> f64 {
    weights
        .of(weights.exponents(V::splat(candidate.logit())))
        .to_array()[0] as f64
}
