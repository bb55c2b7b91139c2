//! Byte pair encoding of one piece: the merge of lowest rank first, the leftmost of equals, until none is left.
use super::vocabulary::{Pair, Vocabulary, NO_PAIR, NO_RANK};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest piece whose lowest rank is found by looking at all of them: positions fit the low 8 bits of a key.
const SCAN: usize = 256;
const POSITION_BITS: u32 = 8;
/// Key that no merge has.
const NEVER: u32 = u32::MAX;

/// Symbols of the piece being merged, indexed by the position of their first byte.
#[derive(Default)]
pub struct Merger {
    ids: Vec<u32>,
    lengths: Vec<u32>,
    /// Position of the symbol before.
    previous: Vec<u32>,
    /// What the symbol and the next one become.
    pairs: Vec<Pair>,
    /// Rank and position in one word, so that one minimum finds both.
    keys: Vec<u32>,
}

impl Merger {
    /// Appends the tokens of `text[start..end]`, whose every byte is a token. `text` has its padding.
    pub fn merge(
        &mut self,
        vocabulary: &Vocabulary,
        text: &[u8],
        start: usize,
        end: usize,
        out: &mut Vec<u32>,
    ) {
        let length = end - start;
        self.ids.clear();
        self.ids.extend(
            text[start..end]
                .iter()
                .map(|&byte| vocabulary.byte_id(byte)),
        );
        self.lengths.clear();
        self.lengths.resize(length, 1);
        self.previous.clear();
        self.previous
            .extend((0..length as u32).map(|i| i.wrapping_sub(1)));
        self.pairs.clear();
        self.pairs.extend(
            text[start..end]
                .windows(2)
                .map(|pair| vocabulary.byte_pair(pair[0], pair[1])),
        );
        self.pairs.push(NO_PAIR);
        if length <= SCAN && vocabulary.merge_count() < 1 << (32 - POSITION_BITS) {
            self.merge_by_scan(vocabulary, text, start);
        } else {
            self.merge_by_heap(vocabulary, text, start);
        }
        let mut i = 0;
        while i < length {
            out.push(self.ids[i]);
            i += self.lengths[i] as usize;
        }
    }

    fn merge_by_scan(&mut self, vocabulary: &Vocabulary, text: &[u8], start: usize) {
        let key = |pair: Pair, i: usize| {
            if pair.rank == NO_RANK {
                NEVER
            } else {
                pair.rank << POSITION_BITS | i as u32
            }
        };
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        keys.extend(self.pairs.iter().enumerate().map(|(i, &pair)| key(pair, i)));
        // Whole vectors: see `minimum`.
        keys.resize(keys.len().next_multiple_of(8), NEVER);
        loop {
            let lowest = minimum(&keys);
            if lowest == NEVER {
                break;
            }
            let i = lowest as usize & (SCAN - 1);
            let gone = self.join(i);
            keys[gone] = NEVER;
            self.update(vocabulary, text, start, i);
            keys[i] = key(self.pairs[i], i);
            let before = self.previous[i] as usize;
            if before < i {
                self.update(vocabulary, text, start, before);
                keys[before] = key(self.pairs[before], before);
            }
        }
        self.keys = keys;
    }

    fn merge_by_heap(&mut self, vocabulary: &Vocabulary, text: &[u8], start: usize) {
        let entry = |rank: u32, i: usize| Reverse((rank as u64) << 32 | i as u64);
        let pairs = self
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, pair)| pair.rank != NO_RANK);
        let mut heap: BinaryHeap<Reverse<u64>> = pairs
            .map(|(i, pair)| entry(pair.rank, i))
            .collect::<Vec<_>>()
            .into();
        while let Some(Reverse(lowest)) = heap.pop() {
            let (rank, i) = ((lowest >> 32) as u32, lowest as u32 as usize);
            if self.pairs[i].rank != rank {
                continue; // of symbols that are gone
            }
            self.join(i);
            let before = self.previous[i] as usize;
            for position in [i, before] {
                if position <= i {
                    self.update(vocabulary, text, start, position);
                    if self.pairs[position].rank != NO_RANK {
                        heap.push(entry(self.pairs[position].rank, position));
                    }
                }
            }
        }
    }

    /// Makes one symbol of the one at `i` and the next. Returns the position of the one that is gone.
    #[inline(always)]
    fn join(&mut self, i: usize) -> usize {
        let gone = i + self.lengths[i] as usize;
        self.ids[i] = self.pairs[i].id;
        self.lengths[i] += self.lengths[gone];
        self.pairs[gone] = NO_PAIR;
        let after = i + self.lengths[i] as usize;
        if after < self.previous.len() {
            self.previous[after] = i as u32;
        }
        gone
    }

    /// Looks up again what the symbol at `i` and the next one become.
    #[inline(always)]
    fn update(&mut self, vocabulary: &Vocabulary, text: &[u8], start: usize, i: usize) {
        let middle = i + self.lengths[i] as usize;
        self.pairs[i] = if middle == self.lengths.len() {
            NO_PAIR
        } else {
            vocabulary.pair(
                text,
                start + i,
                start + middle,
                start + middle + self.lengths[middle] as usize,
            )
        };
    }
}

/// The lowest key; written so that it becomes vector code.
#[inline(always)]
fn minimum(keys: &[u32]) -> u32 {
    let mut lanes = [NEVER; 8];
    for chunk in keys.chunks_exact(8) {
        for (lane, &key) in lanes.iter_mut().zip(chunk) {
            *lane = (*lane).min(key);
        }
    }
    lanes.into_iter().min().unwrap_or(NEVER)
}
