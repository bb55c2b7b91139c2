//! Drawing tokens from logits.
//!
//! The steps and formulas are those of Transformers: temperature, top-k (all that equal the k-th stay), top-p (the best whose weight exceeds p),
//! min-p (at least p times the weight of the best), then one draw from what is left by the inverse of the cumulative distribution in descending
//! order of probability, equal ones by ascending id.

mod buckets;
pub mod exp;
pub mod exports;
pub mod philox;
mod scale;
pub mod select;

use crate::vector::Native;
use buckets::Buckets;
use philox::uniform;
use scale::Scale;
use select::{candidates, find_maxima, first_maximum, lower_bound, BadRow, Candidate, Maxima};

/// How one row is sampled. `temperature` 0 is greedy; `top_k` 0, `top_p` 1 and `min_p` 0 keep everything.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub temperature: f64,
    pub top_k: usize,
    pub top_p: f64,
    pub min_p: f64,
    pub seed: u64,
    pub position: u64,
}

/// A sampler for one row at a time; it holds memory that is used again.
#[derive(Default)]
pub struct Sampler {
    maxima: Maxima,
    candidates: Vec<Candidate>,
    weights: Vec<f32>,
    buckets: Buckets,
}

impl Sampler {
    /// Draws the token of a row.
    pub fn sample(&mut self, logits: &[f32], row: &Row) -> Result<usize, BadRow> {
        find_maxima::<Native>(logits, &mut self.maxima)?;
        if row.temperature == 0.0 {
            return Ok(first_maximum(logits, &self.maxima));
        }
        let uniform = uniform(row.seed, row.position);
        let everything = row.top_k == 0 || row.top_k >= logits.len();
        if everything && row.min_p == 0.0 {
            let scale = Scale::new(self.maxima.row, row.temperature);
            return Ok(self.buckets.draw::<Native>(
                logits,
                &self.maxima,
                scale,
                row.top_p,
                uniform,
            ));
        }
        let (kept, mass) = self.shortlist(logits, row);
        let (mut sum, target) = (0.0, uniform * mass);
        let drawn = self.weights[..kept].iter().position(|weight| {
            sum += *weight as f64;
            sum > target
        });
        Ok(self.candidates[drawn.unwrap_or(kept - 1)].id())
    }

    /// Ids and probabilities that a row is drawn from, the best first; for a greedy row its only token.
    pub fn distribution(&mut self, logits: &[f32], row: &Row) -> Result<Vec<(usize, f64)>, BadRow> {
        find_maxima::<Native>(logits, &mut self.maxima)?;
        if row.temperature == 0.0 {
            return Ok(vec![(first_maximum(logits, &self.maxima), 1.0)]);
        }
        let (kept, mass) = self.shortlist(logits, row);
        let weights = self.weights[..kept]
            .iter()
            .map(|weight| *weight as f64 / mass);
        Ok(self
            .candidates
            .iter()
            .map(|candidate| candidate.id())
            .zip(weights)
            .collect())
    }

    /// Sorts the candidates, weighs them and says how many are kept and what they weigh together.
    fn shortlist(&mut self, logits: &[f32], row: &Row) -> (usize, f64) {
        let scale = Scale::new(self.maxima.row, row.temperature);
        let top_k = Some(row.top_k).filter(|k| (1..logits.len()).contains(k));
        let bound = match top_k {
            Some(k) => lower_bound(logits, &self.maxima, k).max(f32::MIN),
            None if row.min_p > 0.0 => scale.logit_below(row.min_p),
            None => f32::MIN,
        };
        candidates::<Native>(logits, &self.maxima, bound, &mut self.candidates);
        if let Some(k) = top_k.filter(|k| *k < self.candidates.len()) {
            let last = self.candidates[k - 1].logit();
            let equal = self.candidates[k..]
                .iter()
                .take_while(|candidate| candidate.logit() == last)
                .count();
            self.candidates.truncate(k + equal);
        }
        self.weigh(scale);
        let total = match top_k {
            None if row.top_p < 1.0 && row.min_p > 0.0 => scale.sum::<Native>(logits, &self.maxima),
            _ => self.weights.iter().map(|weight| *weight as f64).sum(),
        };
        let limit = if row.top_p < 1.0 {
            row.top_p * total
        } else {
            f64::INFINITY
        };
        let (mut kept, mut mass) = (0, 0f64);
        for weight in self.weights.iter().map(|weight| *weight as f64) {
            if weight == 0.0 || kept > 0 && (mass >= limit || weight < row.min_p) {
                break;
            }
            kept += 1;
            mass += weight;
        }
        (kept, mass)
    }

    fn weigh(&mut self, scale: Scale) {
        use crate::vector::Vector;
        let scaled = scale.weights::<Native>();
        self.weights.clear();
        for four in self.candidates.chunks(4) {
            let logits = core::array::from_fn(|i| {
                four.get(i)
                    .map_or(f32::NEG_INFINITY, |candidate| candidate.logit())
            });
            let weights = scaled
                .of(scaled.exponents(Native::load_floats(&logits)))
                .to_array();
            self.weights.extend_from_slice(&weights[..four.len()]);
        }
    }

    /// Log probability of a token without any of the row's settings, and the `n` most likely tokens with theirs.
    /// To be called after [`Sampler::sample`] of the same logits.
    pub fn log_probabilities(
        &mut self,
        logits: &[f32],
        token: usize,
        n: usize,
    ) -> (f64, Vec<(usize, f64)>) {
        let log_sum = Scale::log_sum::<Native>(logits, &self.maxima);
        let of = |logit: f32| logit.min(f32::MAX) as f64 - log_sum;
        let n = n.min(logits.len());
        if n > 0 {
            let bound = lower_bound(logits, &self.maxima, n);
            candidates::<Native>(logits, &self.maxima, bound, &mut self.candidates);
            self.candidates.truncate(n);
        } else {
            self.candidates.clear();
        }
        (
            of(logits[token]),
            self.candidates
                .iter()
                .map(|c| (c.id(), of(c.logit())))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests;
