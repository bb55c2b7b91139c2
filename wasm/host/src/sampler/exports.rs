//! What `wasm/sampler.ts` calls.

use super::select::BadRow;
use super::{Row, Sampler};
use wasm_bindgen::prelude::*;

/// Numbers of a row: temperature, top-k, top-p, min-p, seed (low and high 32 bits), position, number of most likely tokens wanted or -1.
const ROW: usize = 8;

/// Sampler over rows of logits that JavaScript writes into this memory.
#[wasm_bindgen]
#[derive(Default)]
pub struct BatchSampler {
    logits: Vec<f32>,
    rows: Vec<f64>,
    output: Vec<f64>,
    sampler: Sampler,
}

fn code(error: BadRow) -> f64 {
    match error {
        BadRow::HasNan => -1.0,
        BadRow::Empty => -2.0,
    }
}

#[wasm_bindgen]
impl BatchSampler {
    #[wasm_bindgen(constructor)]
    pub fn new() -> BatchSampler {
        BatchSampler::default()
    }

    /// Makes room for so many logits and gives their address, valid until more are asked for.
    pub fn logits(&mut self, count: usize) -> *mut f32 {
        if count > self.logits.len() {
            self.logits.resize(count, 0.0);
        }
        self.logits.as_mut_ptr()
    }

    /// Makes room for the settings of so many rows, [`ROW`] numbers each, and gives their address, valid until more are asked for.
    pub fn rows(&mut self, count: usize) -> *mut f64 {
        if count * ROW > self.rows.len() {
            self.rows.resize(count * ROW, 0.0);
        }
        self.rows.as_mut_ptr()
    }

    /// Draws a token for each row of `vocab_size` logits.
    ///
    /// Returns the address of `stride` numbers a row: the token (-1: the row has NaN, -2: nothing above -infinity), its log probability, then
    /// pairs of token and log probability.
    pub fn sample(&mut self, count: usize, vocab_size: usize, stride: usize) -> *const f64 {
        self.output.clear();
        self.output.resize(count * stride, 0.0);
        let logits = self.logits.chunks_exact(vocab_size);
        let rows = self
            .rows
            .chunks_exact(ROW)
            .zip(self.output.chunks_exact_mut(stride));
        for (logits, (numbers, output)) in logits.zip(rows).take(count) {
            match self.sampler.sample(logits, &read_row(numbers)) {
                Err(error) => output[0] = code(error),
                Ok(token) => {
                    output[0] = token as f64;
                    if numbers[7] >= 0.0 {
                        let (chosen, top) =
                            self.sampler
                                .log_probabilities(logits, token, numbers[7] as usize);
                        output[1] = chosen;
                        for (pair, (id, log_probability)) in
                            output[2..].chunks_exact_mut(2).zip(top)
                        {
                            pair.copy_from_slice(&[id as f64, log_probability]);
                        }
                    }
                }
            }
        }
        self.output.as_ptr()
    }

    /// What the first row is drawn from: pairs of token and probability at [`BatchSampler::output`].
    ///
    /// Returns their number (-1: the row has NaN, -2: nothing above -infinity).
    pub fn distribution(&mut self, vocab_size: usize) -> i32 {
        let found = self
            .sampler
            .distribution(&self.logits[..vocab_size], &read_row(&self.rows));
        match found {
            Err(error) => code(error) as i32,
            Ok(pairs) => {
                self.output = pairs
                    .iter()
                    .flat_map(|(id, probability)| [*id as f64, *probability])
                    .collect();
                pairs.len() as i32
            }
        }
    }

    /// Address of the last result.
    pub fn output(&self) -> *const f64 {
        self.output.as_ptr()
    }
}

fn read_row(numbers: &[f64]) -> Row {
    Row {
        temperature: numbers[0],
        top_k: numbers[1] as usize,
        top_p: numbers[2],
        min_p: numbers[3],
        seed: numbers[4] as u64 | (numbers[5] as u64) << 32,
        position: numbers[6] as u64,
    }
}
