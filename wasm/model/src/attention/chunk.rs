//! The two products over one chunk of keys, for four queries at a time ("lanes").

use crate::element::Element;
use crate::vector::Lanes;

/// Keys that are worked on together.
pub const CHUNK: usize = 32;

/// `scores[key][lane] = queries[lane] . keys[key]` for lanes below `Q`, 0 in the others.
///
/// # Safety
/// `queries` is `[dim / 4, 4 lanes, 4]`, every key has `dim` elements (a multiple of 4), `scores` takes `[keys.len(), 4]`.
#[inline(never)] // small functions are compiled well soon: the engine took 0.3 s for all of them in one
pub unsafe fn score<V: Lanes, E: Element, const Q: usize>(
    queries: *const f32,
    keys: &[*const E],
    dim: usize,
    scores: *mut f32,
) {
    for first in (0..keys.len()).step_by(2) {
        let second = (first + 1).min(keys.len() - 1);
        let (k0, k1) = (keys[first], keys[second]);
        let mut sums = [[V::splat(0.0); 4]; 2];
        let mut columns = |at: usize| {
            // SAFETY: at + 4 <= dim.
            unsafe {
                let (a, b) = (E::load::<V>(k0.add(at)), E::load::<V>(k1.add(at)));
                let [first, second] = &mut sums;
                for (lane, (x, y)) in first.iter_mut().zip(second).take(Q).enumerate() {
                    let q = V::load(queries.add(4 * at + 4 * lane));
                    *x = a.mul_add(q, *x);
                    *y = b.mul_add(q, *y);
                }
            }
        };
        let whole = dim - dim % 8;
        for at in (0..whole).step_by(8) {
            columns(at);
            columns(at + 4);
        }
        if whole < dim {
            columns(whole);
        }
        // SAFETY: first <= second < keys.len(); for an odd last key the two are one and the values equal.
        unsafe {
            V::sums(sums[0]).store(scores.add(4 * first));
            V::sums(sums[1]).store(scores.add(4 * second));
        }
    }
}

/// `sums[d][lane] += weights[key][lane] * values[key][d]` over all keys in order, for lanes below `Q`.
///
/// # Safety
/// `weights` is `[values.len(), 4]`, every value has `dim` elements (a multiple of 4), `sums` is `[dim / 4, 4 lanes, 4]`.
#[inline(never)]
pub unsafe fn weigh<V: Lanes, E: Element, const Q: usize>(
    weights: *const f32,
    values: &[*const E],
    dim: usize,
    sums: *mut f32,
) {
    // SAFETY: at + 4 * D <= dim in both.
    unsafe {
        let whole = dim - dim % 8;
        for at in (0..whole).step_by(8) {
            columns::<V, E, Q, 2>(weights, values, at, sums.add(4 * at));
        }
        if whole < dim {
            columns::<V, E, Q, 1>(weights, values, whole, sums.add(4 * whole));
        }
    }
}

/// Columns `at .. at + 4 * D` of [`weigh`].
///
/// # Safety
/// Those of [`weigh`], with `at + 4 * D <= dim`; `sums` is where column `at` starts.
#[inline(always)]
unsafe fn columns<V: Lanes, E: Element, const Q: usize, const D: usize>(
    weights: *const f32,
    values: &[*const E],
    at: usize,
    sums: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut total = [[V::splat(0.0); Q]; D];
        for (d, column) in total.iter_mut().enumerate() {
            for (lane, sum) in column.iter_mut().enumerate() {
                *sum = V::load(sums.add(16 * d + 4 * lane));
            }
        }
        for (key, value) in values.iter().enumerate() {
            let mut v = [V::splat(0.0); D];
            for (d, v) in v.iter_mut().enumerate() {
                *v = E::load::<V>(value.add(at + 4 * d));
            }
            // One load and four shuffles: each load is checked against the memory's end.
            let weights = V::load(weights.add(4 * key)).splats();
            for lane in 0..Q {
                for d in 0..D {
                    total[d][lane] = v[d].mul_add(weights[lane], total[d][lane]);
                }
            }
        }
        for (d, column) in total.iter().enumerate() {
            for (lane, sum) in column.iter().enumerate() {
                sum.store(sums.add(16 * d + 4 * lane));
            }
        }
    }
}
