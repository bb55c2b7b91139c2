//! Drawing from a whole row, or from its nucleus, without sorting it: weights are summed in buckets of almost equal logits, and only the bucket
//! where the nucleus ends and the one that is drawn from are sorted.

use super::exp::exp;
use super::scale::Scale;
use super::select::{collect, for_each_chunk, Candidate, Maxima};
use crate::vector::Vector;

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

/// Bucket of each exponent, not yet truncated.
#[inline(always)]
fn place<V: Vector>(exponents: V) -> V {
    exponents
        .mul(V::splat(-PER_NAT))
        .min(V::splat((BUCKETS - 1) as f32))
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
                kept += weight::<V>(scale, *candidate);
            }
        }
        let target = uniform * kept;
        let drawn = self.last_bucket(|before, mass| before <= target && mass > 0.0);
        let Bucket { candidates, before } = self.sort::<V>(logits, maxima, scale, drawn);
        let mut sum = before;
        for candidate in candidates {
            sum += weight::<V>(scale, *candidate);
            if sum > target {
                return candidate.id();
            }
        }
        // Only where the order of summation matters: the last that has a weight.
        candidates
            .iter()
            .rev()
            .find(|c| weight::<V>(scale, **c) > 0.0)
            .map_or(0, |c| c.id())
    }

    fn fill<V: Vector>(&mut self, logits: &[f32], maxima: &Maxima, scale: Scale) {
        self.masses.fill(0.0);
        let masses = &mut self.masses;
        for_each_chunk(logits, |i, chunk| {
            if place(V::splat(scale.exponent(maxima.chunks[i]))).to_array()[0]
                >= (BUCKETS - 1) as f32
            {
                return;
            }
            for values in chunk.as_chunks::<4>().0 {
                let exponents = scale.exponents(V::load_floats(values));
                let (weights, places) = (
                    exp(exponents).to_array(),
                    place(exponents).truncate().to_array(),
                );
                for (weight, place) in weights.into_iter().zip(places) {
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
        let (from, to) = (V::splat(bucket as f32), V::splat((bucket + 1) as f32));
        let hits = |values: V| {
            let place = place(scale.exponents(values));
            place.ge(from).bitmask() & !place.ge(to).bitmask()
        };
        // A chunk below this cannot reach into the bucket.
        let bound = scale.logit_below((-((bucket + 1) as f64) / PER_NAT as f64).exp());
        collect::<V>(logits, maxima, bound, hits, &mut self.candidates);
        Bucket {
            candidates: &self.candidates,
            before: self.masses[..bucket].iter().sum(),
        }
    }
}

fn weight<V: Vector>(scale: Scale, candidate: Candidate) -> f64 {
    exp(V::splat(scale.exponent(candidate.logit()))).to_array()[0] as f64
}
