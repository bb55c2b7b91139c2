//! The sampler against a sort in f64.

use super::*;

fn noise(seed: u32, n: usize, spread: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..n)
        .map(|_| (next() + next() + next() - 1.5) * spread)
        .collect()
}

/// The definition: sort, then each step in turn.
fn oracle(logits: &[f32], row: &Row) -> Vec<(usize, f64)> {
    let mut ids: Vec<usize> = (0..logits.len()).collect();
    ids.sort_by(|a, b| logits[*b].partial_cmp(&logits[*a]).unwrap().then(a.cmp(b)));
    if (1..logits.len()).contains(&row.top_k) {
        let kth = logits[ids[row.top_k - 1]];
        ids.retain(|id| logits[*id] >= kth);
    }
    let max = logits[ids[0]] as f64;
    let softmax = |ids: &[usize]| {
        let weights: Vec<f64> = ids
            .iter()
            .map(|id| ((logits[*id] as f64 - max) / row.temperature).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        weights
            .into_iter()
            .map(|weight| weight / total)
            .collect::<Vec<f64>>()
    };
    if row.top_p < 1.0 {
        let mut before = 0.0;
        let kept = softmax(&ids).into_iter().take_while(|p| {
            let keep = before == 0.0 || before < row.top_p;
            before += p;
            keep
        });
        ids.truncate(kept.count());
    }
    let probabilities = softmax(&ids);
    ids.truncate(
        probabilities
            .iter()
            .take_while(|p| **p >= row.min_p * probabilities[0])
            .count(),
    );
    let probabilities = softmax(&ids);
    // What is no normal f32 beside the largest counts as zero.
    let smallest = probabilities[0] * f32::MIN_POSITIVE as f64;
    ids.into_iter()
        .zip(probabilities)
        .filter(|(_, p)| *p >= smallest)
        .collect()
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for temperature in [1.0, 0.6, 2.5, 1e-6, 50.0] {
        for (top_k, top_p, min_p) in [
            (0, 1.0, 0.0),
            (1, 1.0, 0.0),
            (50, 0.9, 0.0),
            (3, 1.0, 0.1),
            (0, 0.9, 0.0),
            (0, 0.5, 0.05),
            (0, 0.0, 0.0),
            (0, 1.0, 0.3),
            (0, 1.0, 1.0),
            (100_000, 0.99, 0.0),
        ] {
            rows.push(Row {
                temperature,
                top_k,
                top_p,
                min_p,
                seed: 1,
                position: 0,
            });
        }
    }
    rows
}

#[test]
fn distribution_is_the_oracle() {
    let mut sampler = Sampler::default();
    for (n, spread) in [
        (1, 1.0),
        (5, 3.0),
        (64, 8.0),
        (1000, 6.0),
        (4097, 20.0),
        (300, 0.01),
    ] {
        let logits = noise(n as u32, n, spread);
        for row in rows() {
            let (got, want) = (
                sampler.distribution(&logits, &row).unwrap(),
                oracle(&logits, &row),
            );
            let ids = |pairs: &[(usize, f64)]| pairs.iter().map(|pair| pair.0).collect::<Vec<_>>();
            assert!(
                ids(&got) == ids(&want),
                "{n} logits, {row:?}: {} kept, expected {}",
                got.len(),
                want.len()
            );
            for (got, p) in got.iter().zip(&want) {
                // An exponent is rounded three times.
                let tolerance = 2e-7 * (3.0 + (want[0].1 / p.1).ln());
                assert!(
                    (got.1 / p.1 - 1.0).abs() <= tolerance,
                    "{got:?} {p:?} {row:?}"
                );
            }
        }
    }
}

#[test]
fn a_draw_is_the_inverse_of_the_cumulative_distribution() {
    let mut sampler = Sampler::default();
    for (n, spread) in [
        (1, 1.0),
        (5, 3.0),
        (64, 8.0),
        (1000, 6.0),
        (4097, 20.0),
        (300, 0.01),
    ] {
        let logits = noise(n as u32, n, spread);
        for row in rows() {
            let want = sampler.distribution(&logits, &row).unwrap();
            for position in 0..20 {
                let row = Row { position, ..row };
                let token = sampler.sample(&logits, &row).unwrap();
                let (u, mut before) = (uniform(row.seed, position), 0.0);
                let drawn = want.iter().find(|(id, p)| {
                    before += p;
                    *id == token
                });
                let (_, p) = drawn.unwrap_or_else(|| panic!("{token} is not kept by {row:?}"));
                assert!(
                    u < before + 1e-9 && u > before - p - 1e-9,
                    "{u} is not within {p} below {before}: {row:?}"
                );
            }
        }
    }
}

#[test]
fn ties_go_to_the_lowest_id() {
    let mut sampler = Sampler::default();
    let row = Row {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed: 3,
        position: 0,
    };
    let logits = [1.0, 2.0, 2.0, -0.0, 0.0, 2.0];
    assert_eq!(
        sampler.sample(
            &logits,
            &Row {
                temperature: 0.0,
                ..row
            }
        ),
        Ok(1)
    );
    let ids = |pairs: Vec<(usize, f64)>| pairs.into_iter().map(|pair| pair.0).collect::<Vec<_>>();
    assert_eq!(
        ids(sampler.distribution(&logits, &row).unwrap()),
        [1, 2, 5, 0, 3, 4]
    );
    assert_eq!(
        ids(sampler
            .distribution(&logits, &Row { top_k: 2, ..row })
            .unwrap()),
        [1, 2, 5]
    );
    assert_eq!(
        ids(sampler
            .distribution(&logits, &Row { top_p: 0.5, ..row })
            .unwrap()),
        [1, 2]
    );
}

#[test]
fn infinite_logits() {
    let mut sampler = Sampler::default();
    let (inf, row) = (
        f32::INFINITY,
        Row {
            temperature: 0.7,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: 3,
            position: 0,
        },
    );
    for row in [
        row,
        Row { top_k: 3, ..row },
        Row { top_p: 0.9, ..row },
        Row { min_p: 0.1, ..row },
        Row {
            temperature: 1e-300,
            ..row
        },
    ] {
        assert_eq!(
            sampler.distribution(&[0.0, inf, -inf, 5.0], &row).unwrap(),
            [(1, 1.0)]
        );
        assert_eq!(sampler.sample(&[0.0, inf, -inf, 5.0], &row), Ok(1));
        assert_eq!(
            sampler
                .distribution(&[inf, f32::MIN, inf], &row)
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            sampler
                .distribution(&[-inf, -inf, -3e38, -inf], &row)
                .unwrap(),
            [(2, 1.0)]
        );
        assert_eq!(sampler.sample(&[-inf, -inf, -3e38, -inf], &row), Ok(2));
        assert_eq!(sampler.sample(&[-inf; 4], &row), Err(BadRow::Empty));
        assert_eq!(sampler.sample(&[0.0, f32::NAN], &row), Err(BadRow::HasNan));
    }
}

#[test]
fn log_probabilities_are_those_of_a_softmax() {
    let mut sampler = Sampler::default();
    let logits = noise(5, 1000, 10.0);
    let row = Row {
        temperature: 0.3,
        top_k: 5,
        top_p: 0.5,
        min_p: 0.0,
        seed: 3,
        position: 0,
    };
    let token = sampler.sample(&logits, &row).unwrap();
    let want = oracle(
        &logits,
        &Row {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            ..row
        },
    );
    let of = |token: usize| want.iter().find(|pair| pair.0 == token).unwrap().1.ln();
    let (chosen, top) = sampler.log_probabilities(&logits, token, 20);
    assert!((chosen - of(token)).abs() < 1e-6);
    assert_eq!(
        top.iter().map(|pair| pair.0).collect::<Vec<_>>(),
        want[..20].iter().map(|pair| pair.0).collect::<Vec<_>>()
    );
    assert!(top.iter().all(|(id, p)| (p - of(*id)).abs() < 1e-6));
    assert_eq!(sampler.log_probabilities(&logits, token, 0).1, []);
    assert_eq!(
        sampler.log_probabilities(&logits, token, 5000).1.len(),
        1000
    );
}
