//! Byte pair encoding of one piece: the merge of lowest rank first, the leftmost of equals, until none is left.
use super::vocabulary::{Pair, Vocabulary, NO_PAIR, NO_RANK};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest window whose lowest rank is found by looking at all of them: positions fit the low 8 bits of a key.
const SCAN: usize = 256;
/// Bytes of a window of a long piece, at first: looking for the lowest rank costs less in a short one.
const WINDOW: usize = 128;
/// Bytes at the end of a window whose tokens are not taken.
const OVERLAP: usize = 32;
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
    ///
    /// A long piece is done window by window. Tokens are right if each two neighbours are what their own text becomes: a merge across their border
    /// would be the lowest of the two as well as of the whole. So a window's tokens up to some token may be followed by those of a window that begins
    /// with the same token.
    pub fn merge(
        &mut self,
        vocabulary: &Vocabulary,
        text: &[u8],
        start: usize,
        end: usize,
        out: &mut Vec<u32>,
    ) {
        let mut at = start;
        let mut size = WINDOW;
        self.run(vocabulary, text, at, end.min(at + size));
        while at + size < end {
            let kept = out.len();
            let cut = self.last_start(size - OVERLAP);
            let length = self.lengths[cut];
            self.emit(cut, out);
            self.run(
                vocabulary,
                text,
                at + cut,
                end.min(at + cut + size.min(SCAN)),
            );
            if cut > 0 && self.lengths[0] == length {
                at += cut;
                size = size.min(SCAN);
            } else {
                // The end of the window was too near: what comes after it counts.
                out.truncate(kept);
                size *= 2;
                self.run(vocabulary, text, at, end.min(at + size));
            }
        }
        self.emit(self.ids.len(), out);
    }

    /// Where the last token begins that does not begin after `limit`.
    fn last_start(&self, limit: usize) -> usize {
        let mut last = 0;
        let mut i = 0;
        while i <= limit && i < self.lengths.len() {
            last = i;
            i += self.lengths[i] as usize;
        }
        last
    }

    /// Appends the tokens that begin before `limit`.
    fn emit(&self, limit: usize, out: &mut Vec<u32>) {
        let mut i = 0;
        while i < limit {
            out.push(self.ids[i]);
            i += self.lengths[i] as usize;
        }
    }

    /// Merges one window.
    fn run(&mut self, vocabulary: &Vocabulary, text: &[u8], start: usize, end: usize) {
        self.prepare(vocabulary, text, start, end);
        if end - start <= SCAN && vocabulary.merge_count() < 1 << (32 - POSITION_BITS) {
            self.merge_by_scan(vocabulary, text, start);
        } else {
            self.merge_by_heap(vocabulary, text, start);
        }
    }

    /// One symbol a byte.
    fn prepare(&mut self, vocabulary: &Vocabulary, text: &[u8], start: usize, end: usize) {
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

#[cfg(test)]
mod tests {
    use super::super::vocabulary::PADDING;
    use super::*;

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (self.0 >> 33) as usize % limit
        }
    }

    /// Letters a to c and `count` tokens that random merges make.
    fn vocabulary(random: &mut Random, count: usize) -> (Vocabulary, Vec<(String, String)>) {
        let mut tokens: Vec<String> = ["a", "b", "c"].map(String::from).into();
        let mut merges = Vec::new();
        while merges.len() < count {
            let pair = (
                tokens[random.below(tokens.len())].clone(),
                tokens[random.below(tokens.len())].clone(),
            );
            let made = pair.0.clone() + &pair.1;
            if made.len() <= 24 && !tokens.contains(&made) {
                tokens.push(made);
                merges.push(pair);
            }
        }
        // Ranks in another order than the tokens they need.
        for i in (1..merges.len()).rev() {
            if random.below(4) == 0 {
                merges.swap(i, i - 1);
            }
        }
        let mut made = Vocabulary::new(tokens.join("\0").as_bytes());
        let lines: Vec<String> = merges
            .iter()
            .map(|(left, right)| format!("{left} {right}"))
            .collect();
        made.set_merges(lines.join("\0").as_bytes()).unwrap();
        (made, merges)
    }

    /// By the book: the merge of lowest rank, the leftmost of equals, again and again.
    fn oracle(merges: &[(String, String)], text: &str) -> Vec<String> {
        let mut symbols: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let rank = |i: usize| {
                merges
                    .iter()
                    .position(|(left, right)| *left == symbols[i] && *right == symbols[i + 1])
            };
            let lowest = (0..symbols.len().saturating_sub(1))
                .filter_map(|i| rank(i).map(|rank| (rank, i)))
                .min();
            let Some((_, i)) = lowest else {
                return symbols;
            };
            let right = symbols.remove(i + 1);
            symbols[i] += &right;
        }
    }

    fn merged(vocabulary: &Vocabulary, text: &str) -> Vec<String> {
        let padded = [text.as_bytes(), &[0; PADDING]].concat();
        let mut ids = Vec::new();
        Merger::default().merge(vocabulary, &padded, 0, text.len(), &mut ids);
        ids.iter()
            .map(|&id| String::from_utf8(vocabulary.token(id).to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn merges_as_the_book_says() {
        let mut random = Random(1);
        for round in 0..40 {
            let (vocabulary, merges) = vocabulary(&mut random, 2 + round);
            for length in [1, 2, 3, 10, 60, 255, 256, 257, 330, 700] {
                let letters = 1 + random.below(3);
                let text: String = (0..length)
                    .map(|_| ['a', 'b', 'c'][random.below(letters)])
                    .collect();
                assert_eq!(
                    merged(&vocabulary, &text),
                    oracle(&merges, &text),
                    "{merges:?}"
                );
            }
        }
    }

    #[test]
    fn windows_give_way_to_long_tokens() {
        // Tokens of 2, 4, ... 512 letters: two windows of 256 never agree.
        let tokens: Vec<String> = (0..10).map(|i| "a".repeat(1 << i)).collect();
        let merges: Vec<String> = tokens[..9]
            .iter()
            .map(|token| format!("{token} {token}"))
            .collect();
        let mut vocabulary = Vocabulary::new(tokens.join("\0").as_bytes());
        vocabulary.set_merges(merges.join("\0").as_bytes()).unwrap();
        let lengths: Vec<usize> = merged(&vocabulary, &"a".repeat(3000))
            .iter()
            .map(String::len)
            .collect();
        assert_eq!(lengths, [512, 512, 512, 512, 512, 256, 128, 32, 16, 8]);
    }

    #[test]
    fn heap_and_scan_agree() {
        let mut random = Random(2);
        for _ in 0..20 {
            let (vocabulary, _) = vocabulary(&mut random, 30);
            let text: String = (0..200).map(|_| ['a', 'b', 'c'][random.below(3)]).collect();
            let padded = [text.as_bytes(), &[0; PADDING]].concat();
            let mut merger = Merger::default();
            merger.run(&vocabulary, &padded, 0, text.len());
            let mut by_scan = Vec::new();
            merger.emit(text.len(), &mut by_scan);
            merger.prepare(&vocabulary, &padded, 0, text.len());
            merger.merge_by_heap(&vocabulary, &padded, 0);
            let mut by_heap = Vec::new();
            merger.emit(text.len(), &mut by_heap);
            assert_eq!(by_scan, by_heap);
        }
    }
}
