//! `rope_store` and `attention` against scalar oracles, natively.

use super::attention::{attention, partial_bytes, scratch_bytes, Attention};
use super::rope_store::{rope_store, RopeStore};
use crate::cache::Cache;
use crate::element::{Bf16, Element, F16};
use crate::linear;
use crate::step::{private_bytes, Batch, Workspace};
use crate::team::with_team;

type V = [f32; 4];

#[derive(Clone, Copy, Debug)]
struct Case {
    heads: usize,
    kv_heads: usize,
    dim: usize,
    window: usize,
    block_size: usize,
    /// Rows and context of each sequence.
    sequences: &'static [(usize, usize)],
}

const CASES: [Case; 6] = [
    Case {
        heads: 4,
        kv_heads: 1,
        dim: 16,
        window: 0,
        block_size: 16,
        sequences: &[(5, 5), (1, 40), (3, 70)],
    },
    Case {
        heads: 3,
        kv_heads: 3,
        dim: 6,
        window: 0,
        block_size: 1,
        sequences: &[(33, 33)],
    },
    Case {
        heads: 6,
        kv_heads: 2,
        dim: 24,
        window: 10,
        block_size: 64,
        sequences: &[(40, 50), (1, 1)],
    },
    Case {
        heads: 8,
        kv_heads: 1,
        dim: 10,
        window: 33,
        block_size: 16,
        sequences: &[(1, 100), (2, 31), (1, 32), (1, 33)],
    },
    Case {
        heads: 40,
        kv_heads: 1,
        dim: 4,
        window: 0,
        block_size: 16,
        sequences: &[(3, 64)],
    },
    Case {
        heads: 2,
        kv_heads: 1,
        dim: 8,
        window: 0,
        block_size: 16,
        sequences: &[(2, 1100), (1, 513)],
    },
];

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| 2.0 * next()).collect()
}

/// A batch's arrays; sequence `s` has every `sequences`-th block from the last one down.
struct Arrays {
    slots: Vec<u32>,
    starts: Vec<u32>,
    contexts: Vec<u32>,
    tables: Vec<u32>,
    width: usize,
    total_slots: usize,
    rope: Vec<f32>,
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let width = case
            .sequences
            .iter()
            .map(|s| s.1.div_ceil(case.block_size))
            .max()
            .unwrap();
        let count = case.sequences.len();
        let blocks = width * count;
        let mut tables = vec![0; blocks];
        let (mut slots, mut starts) = (vec![], vec![0]);
        for (s, &(rows, context)) in case.sequences.iter().enumerate() {
            for b in 0..width {
                tables[s * width + b] = (blocks - 1 - b * count - s) as u32;
            }
            for position in context - rows..context {
                let block = tables[s * width + position / case.block_size] as usize;
                slots.push((block * case.block_size + position % case.block_size) as u32);
            }
            starts.push(slots.len() as u32);
        }
        let contexts = case.sequences.iter().map(|s| s.1 as u32).collect();
        let rope = numbers(slots.len() * case.dim, 3);
        Self {
            slots,
            starts,
            contexts,
            tables,
            width,
            total_slots: blocks * case.block_size,
            rope,
        }
    }

    fn batch(&self) -> Batch {
        Batch {
            rows: self.slots.len(),
            outputs: 0,
            sequences: self.contexts.len(),
            blocks_per_sequence: self.width,
            tokens: core::ptr::null(),
            rope: self.rope.as_ptr(),
            slots: self.slots.as_ptr(),
            query_starts: self.starts.as_ptr(),
            context_lengths: self.contexts.as_ptr(),
            block_tables: self.tables.as_ptr(),
            output_rows: core::ptr::null(),
        }
    }

    /// Slot of each key of a sequence.
    fn slot(&self, case: &Case, sequence: usize, position: usize) -> usize {
        let block = self.tables[sequence * self.width + position / case.block_size] as usize;
        block * case.block_size + position % case.block_size
    }
}

fn value<E: Element>(at: *const E) -> f64 {
    // SAFETY: rows of the cache are followed by at least three more elements: the tests allocate them.
    unsafe { E::load::<V>(at)[0] as f64 * E::SCALE as f64 }
}

fn oracle<E: Element>(case: &Case, arrays: &Arrays, qkv: &[f32], cache: &Cache<E>) -> Vec<f64> {
    let (dim, group) = (case.dim, case.heads / case.kv_heads);
    let stride = (case.heads + 2 * case.kv_heads) * dim;
    let mut out = vec![];
    let mut row = 0;
    for (s, &(rows, context)) in case.sequences.iter().enumerate() {
        for i in 0..rows {
            let visible = context - (rows - 1 - i);
            let first = if case.window > 0 {
                visible.saturating_sub(case.window)
            } else {
                0
            };
            for head in 0..case.heads {
                let q = &qkv[row * stride + head * dim..][..dim];
                let dot = |position: usize| {
                    let key = cache.key(head / group, arrays.slot(case, s, position));
                    let sum: f64 = (0..dim)
                        .map(|d| q[d] as f64 * value(key.wrapping_add(d)))
                        .sum();
                    sum / (dim as f64).sqrt()
                };
                let scores: Vec<f64> = (first..visible).map(dot).collect();
                let most = scores.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                let total: f64 = scores.iter().map(|score| (score - most).exp()).sum();
                out.extend((0..dim).map(|d| {
                    let weighed = scores.iter().enumerate().map(|(t, score)| {
                        let slot = arrays.slot(case, s, first + t);
                        (score - most).exp()
                            * value(cache.value(head / group, slot).wrapping_add(d))
                    });
                    weighed.sum::<f64>() / total
                }));
            }
            row += 1;
        }
    }
    out
}

/// Runs attention over a random cache on so many threads.
fn run<E: Element + Sync>(case: &Case, threads: usize) -> (Vec<f32>, Vec<f64>) {
    let arrays = Arrays::new(case);
    let row = case.dim.next_multiple_of(4);
    let mut data: Vec<E> = numbers(case.kv_heads * arrays.total_slots * 2 * row + 4, 1)
        .into_iter()
        .map(E::from_f32)
        .collect();
    for padding in data.chunks_mut(row) {
        padding
            .iter_mut()
            .skip(case.dim)
            .for_each(|v| *v = E::from_f32(0.0));
    }
    let qkv = numbers(
        arrays.slots.len() * (case.heads + 2 * case.kv_heads) * case.dim,
        2,
    );
    let mut out = vec![f32::NAN; arrays.slots.len() * case.heads * case.dim];
    let (kv_heads, head_dim, slots, block_size) =
        (case.kv_heads, case.dim, arrays.total_slots, case.block_size);
    let cache = Cache {
        data: data.as_ptr(),
        kv_heads,
        head_dim,
        slots,
        block_size,
    };
    let group = case.heads / kv_heads;
    let context = case.sequences.iter().map(|s| s.1).max().unwrap();
    let own = private_bytes(32, scratch_bytes(group, head_dim));
    let mut private = vec![0u128; threads * own / 16];
    let mut partials = vec![0f32; partial_bytes(threads, context, group, head_dim) / 4];
    // Threads get addresses: raw pointers do not travel.
    let (out_at, private_at, partials_at) = (
        out.as_mut_ptr() as usize,
        private.as_mut_ptr() as usize,
        partials.as_mut_ptr() as usize,
    );
    let (qkv_at, data_at) = (qkv.as_ptr() as usize, data.as_ptr() as usize);
    with_team(threads, |team| {
        let work = Workspace {
            int8: false,
            normalized: core::ptr::null_mut(),
            prepared: core::ptr::null_mut(),
            partials: partials_at as *mut f32,
            private: (private_at + team.thread * own) as *mut u8,
        };
        let cache = Cache {
            data: data_at as *const E,
            kv_heads,
            head_dim,
            slots,
            block_size,
        };
        let op = Attention {
            qkv: qkv_at as *const f32,
            cache,
            out: out_at as *mut f32,
            heads: case.heads,
            window: case.window,
        };
        // SAFETY: everything has the shapes of the case.
        unsafe { attention::<V, E>(team, &work, &arrays.batch(), &op).unwrap() };
    });
    let want = oracle(case, &arrays, &qkv, &cache);
    (out, want)
}

fn check<E: Element + Sync>() {
    assert_eq!(linear::SCRATCH_BYTES % 16, 0);
    for case in &CASES {
        let (one, want) = run::<E>(case, 1);
        for (i, (&got, want)) in one.iter().zip(&want).enumerate() {
            // Float32 sums of up to 1,100 products of numbers up to 2.
            assert!(
                (got as f64 - want).abs() < 5e-6,
                "{case:?}: output {i}: expected {want}, got {got}"
            );
        }
        for threads in [2, 3, 8] {
            assert!(
                run::<E>(case, threads).0 == one,
                "{case:?}: {threads} threads give other bits than one"
            );
        }
    }
}

#[test]
fn attention_over_f32_equals_the_oracle() {
    check::<f32>();
}

#[test]
fn attention_over_f16_equals_the_oracle() {
    check::<F16>();
}

#[test]
fn attention_over_bf16_equals_the_oracle() {
    check::<Bf16>();
}

#[test]
fn rope_store_turns_heads_and_fills_slots() {
    for case in &CASES {
        for rope in [false, true] {
            let arrays = Arrays::new(case);
            let (dim, row) = (case.dim, case.dim.next_multiple_of(4));
            let stride = (case.heads + 2 * case.kv_heads) * dim;
            let before = numbers(arrays.slots.len() * stride, 4);
            let mut qkv = before.clone();
            let mut data = vec![0f32; case.kv_heads * arrays.total_slots * 2 * row];
            let cache = Cache {
                data: data.as_mut_ptr(),
                kv_heads: case.kv_heads,
                head_dim: dim,
                slots: arrays.total_slots,
                block_size: case.block_size,
            };
            let op = RopeStore {
                qkv: qkv.as_mut_ptr(),
                cache,
                heads: case.heads,
                rope,
            };
            let shared = crate::team::Shared::default();
            let team = crate::team::Team {
                thread: 0,
                threads: 1,
                shared: &shared,
            };
            // SAFETY: everything has the shapes of the case.
            unsafe { rope_store::<V, f32>(&team, &arrays.batch(), &op) };
            for (r, &slot) in arrays.slots.iter().enumerate() {
                for head in 0..case.heads + 2 * case.kv_heads {
                    let old = &before[r * stride + head * dim..][..dim];
                    let new = &qkv[r * stride + head * dim..][..dim];
                    let turned = rope && head < case.heads + case.kv_heads;
                    for i in 0..dim {
                        let (half, at) = (dim / 2, i % (dim / 2));
                        let (cos, sin) =
                            (arrays.rope[r * dim + at], arrays.rope[r * dim + half + at]);
                        let want = match (turned, i < half) {
                            (false, _) => old[i],
                            (true, true) => old[at] * cos - old[half + at] * sin,
                            (true, false) => old[half + at] * cos + old[at] * sin,
                        };
                        assert!(
                            (new[i] - want).abs() < 1e-6,
                            "{case:?}: row {r}, head {head}, {i}"
                        );
                    }
                    if head >= case.heads {
                        let kv = head - case.heads;
                        let at = if kv < case.kv_heads {
                            cache.key(kv, slot as usize)
                        } else {
                            cache.value(kv - case.kv_heads, slot as usize)
                        };
                        // SAFETY: a row of the cache.
                        assert_eq!(unsafe { core::slice::from_raw_parts(at, dim) }, new);
                    }
                }
            }
        }
    }
}
