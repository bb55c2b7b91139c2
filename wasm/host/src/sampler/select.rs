//! Finding the few largest of many logits: maxima of chunks first, so that most of the row is read once.

use crate::vector::Vector;

/// Logits that share a maximum.
pub const CHUNK: usize = 64;

/// Why a row cannot be sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRow {
    HasNan,
    /// Nothing above -infinity.
    Empty,
}

/// Maxima of the chunks of a row and of the whole row.
#[derive(Default)]
pub struct Maxima {
    pub chunks: Vec<f32>,
    pub row: f32,
}

/// Calls `f` with each chunk and its index; the last is filled up with -infinity.
#[inline(always)]
pub fn for_each_chunk(logits: &[f32], mut f: impl FnMut(usize, &[f32; CHUNK])) {
    let (whole, rest) = logits.as_chunks::<CHUNK>();
    for (i, chunk) in whole.iter().enumerate() {
        f(i, chunk);
    }
    if !rest.is_empty() {
        let mut padded = [f32::NEG_INFINITY; CHUNK];
        padded[..rest.len()].copy_from_slice(rest);
        f(whole.len(), &padded);
    }
}

/// Finds the maxima and refuses rows that have none.
pub fn find_maxima<V: Vector>(logits: &[f32], maxima: &mut Maxima) -> Result<(), BadRow> {
    // A sum is cheaper than looking for NaN and has it wherever a term does (and where infinities meet: hence the second look).
    // Four of each: one would wait for itself.
    let (mut sums, mut row) = ([V::splat(0.0); 4], f32::NEG_INFINITY);
    maxima.chunks.clear();
    maxima.chunks.reserve(logits.len().div_ceil(CHUNK));
    for_each_chunk(logits, |_, chunk| {
        let mut max = [V::splat(f32::NEG_INFINITY); 4];
        for four in chunk.as_chunks::<16>().0 {
            for (i, values) in four.as_chunks::<4>().0.iter().enumerate() {
                let values = V::load_floats(values);
                max[i] = max[i].max(values);
                sums[i] = sums[i].add(values);
            }
        }
        let max = horizontal_max(max[0].max(max[1]).max(max[2].max(max[3])));
        row = larger(row, max);
        maxima.chunks.push(max);
    });
    maxima.row = row;
    let [a, b, c, d] = sums[0].add(sums[1]).add(sums[2].add(sums[3])).to_array();
    if (a + b + c + d).is_nan() && logits.iter().any(|x| x.is_nan()) {
        Err(BadRow::HasNan)
    } else if maxima.row == f32::NEG_INFINITY {
        Err(BadRow::Empty)
    } else {
        Ok(())
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a < b {
        b
    } else {
        a
    }
}

#[inline(always)]
fn horizontal_max<V: Vector>(v: V) -> f32 {
    let [a, b, c, d] = v.to_array();
    larger(larger(a, b), larger(c, d))
}

/// A number with the order of the floats, the largest last; both zeros are the same.
pub fn key(x: f32) -> u32 {
    let bits = (x + 0.0).to_bits();
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

/// The float of a [`key`].
pub fn from_key(key: u32) -> f32 {
    f32::from_bits(key ^ if key >> 31 == 1 { 1 << 31 } else { u32::MAX })
}

/// A number that at least `k` logits reach, close below the `k`-th largest or that itself. `1 <= k <= logits.len()`.
pub fn lower_bound(logits: &[f32], maxima: &Maxima, k: usize) -> f32 {
    // k chunks have their maxima at the k-th largest maximum or above.
    let from = if k <= maxima.chunks.len() {
        &maxima.chunks
    } else {
        logits
    };
    let mut keys: Vec<u32> = from.iter().map(|x| !key(*x)).collect();
    let (_, found, _) = keys.select_nth_unstable(k - 1);
    from_key(!*found)
}

/// A logit and its id in one number; ascending order is descending by logit, then ascending by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate(u64);

impl Candidate {
    pub fn new(logit: f32, id: usize) -> Candidate {
        Candidate((!key(logit) as u64) << 32 | id as u64)
    }
    pub fn id(self) -> usize {
        self.0 as u32 as usize
    }
    pub fn logit(self) -> f32 {
        from_key(!((self.0 >> 32) as u32))
    }
}

/// All logits that are at least `bound`, the best first.
pub fn candidates<V: Vector>(
    logits: &[f32],
    maxima: &Maxima,
    bound: f32,
    out: &mut Vec<Candidate>,
) {
    let limit = V::splat(bound);
    collect::<V>(
        logits,
        maxima,
        bound,
        |values| values.ge(limit).bitmask(),
        out,
    );
}

/// The logits that `hits` picks out of chunks whose maximum is at least `bound`, the best first.
#[inline(always)]
pub fn collect<V: Vector>(
    logits: &[f32],
    maxima: &Maxima,
    bound: f32,
    hits: impl Fn(V) -> u32,
    out: &mut Vec<Candidate>,
) {
    out.clear();
    for (i, _) in maxima
        .chunks
        .iter()
        .enumerate()
        .filter(|(_, max)| **max >= bound)
    {
        for_each_chunk(
            &logits[CHUNK * i..logits.len().min(CHUNK * (i + 1))],
            |_, chunk| {
                for (j, values) in chunk.as_chunks::<4>().0.iter().enumerate() {
                    let mut hit = hits(V::load_floats(values));
                    while hit != 0 {
                        let lane = hit.trailing_zeros() as usize;
                        out.push(Candidate::new(values[lane], CHUNK * i + 4 * j + lane));
                        hit &= hit - 1;
                    }
                }
            },
        );
    }
    // What fills up the last chunk is no logit.
    while out.last().is_some_and(|last| last.id() >= logits.len()) {
        out.pop();
    }
    out.sort_unstable();
}

/// The first of the largest logits.
pub fn first_maximum(logits: &[f32], maxima: &Maxima) -> usize {
    let chunk = maxima
        .chunks
        .iter()
        .position(|max| *max == maxima.row)
        .unwrap_or(0);
    let offset = logits[CHUNK * chunk..]
        .iter()
        .position(|x| *x == maxima.row)
        .unwrap_or(0);
    CHUNK * chunk + offset
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<f32>> {
        let mut state = 9u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        };
        let mut rows: Vec<Vec<f32>> = [1, 3, 5, 63, 64, 65, 127, 200, 1000]
            .map(|n| (0..n).map(|_| noise()).collect())
            .into();
        rows.push((0..300).map(|i| (i % 7) as f32).collect());
        rows.push(
            (0..130)
                .map(|i| {
                    if i % 3 == 0 {
                        f32::NEG_INFINITY
                    } else {
                        -0.0 * (i % 2) as f32
                    }
                })
                .collect(),
        );
        rows.push(vec![
            f32::NEG_INFINITY,
            f32::INFINITY,
            3.0,
            f32::MAX,
            f32::MIN,
        ]);
        rows
    }

    #[test]
    fn candidates_are_those_of_a_full_sort() {
        for row in rows() {
            let mut maxima = Maxima::default();
            find_maxima::<[u32; 4]>(&row, &mut maxima).unwrap();
            let mut sorted: Vec<usize> = (0..row.len()).collect();
            sorted.sort_by(|a, b| row[*b].partial_cmp(&row[*a]).unwrap());
            assert_eq!(maxima.row, row[sorted[0]]);
            assert_eq!(first_maximum(&row, &maxima), sorted[0]);
            for k in [1, 2, 3, 5, 16, row.len()]
                .into_iter()
                .filter(|k| *k <= row.len())
            {
                let bound = lower_bound(&row, &maxima, k);
                assert!(bound <= row[sorted[k - 1]]);
                let mut found = Vec::new();
                candidates::<[u32; 4]>(&row, &maxima, bound, &mut found);
                let want: Vec<usize> = sorted
                    .iter()
                    .copied()
                    .filter(|id| row[*id] >= bound)
                    .collect();
                assert_eq!(found.iter().map(|c| c.id()).collect::<Vec<_>>(), want);
                assert!(found.iter().all(|c| c.logit() == row[c.id()]));
                assert!(found.len() >= k);
            }
        }
    }

    #[test]
    fn rows_without_a_maximum_are_refused() {
        let find = |row: &[f32]| find_maxima::<[u32; 4]>(row, &mut Maxima::default());
        for at in 0..70 {
            let mut row = vec![1.0; 70];
            row[at] = f32::NAN;
            assert_eq!(find(&row), Err(BadRow::HasNan));
        }
        assert_eq!(find(&[f32::NEG_INFINITY; 5]), Err(BadRow::Empty));
        assert_eq!(find(&[f32::INFINITY, f32::NEG_INFINITY]), Ok(()));
        assert_eq!(
            find(&[f32::MAX, f32::MAX, f32::NEG_INFINITY, f32::MIN]),
            Ok(())
        );
    }
}
