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
    /// Lowest rank that a merge of the symbol can have if it was right to begin with it; zero for all but whole characters.
    floors: Vec<u32>,
    /// By code point: token of a character and its floor. Made for the first text that needs it.
    characters: Vec<Character>,
    /// A merge was below a floor: characters must not be made first.
    is_below: bool,
}

#[derive(Clone, Copy)]
struct Character {
    is_known: bool,
    pair: Pair,
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
        if text[start..end].iter().any(|&byte| byte >= 0xe0) {
            self.make_characters(vocabulary, text, start, end);
            self.merge_all(vocabulary, text, start, end);
            if !self.is_below {
                return;
            }
            self.prepare(vocabulary, text, start, end);
        }
        self.merge_all(vocabulary, text, start, end);
    }

    fn merge_all(&mut self, vocabulary: &Vocabulary, text: &[u8], start: usize, end: usize) {
        if end - start <= SCAN && vocabulary.merge_count() < 1 << (32 - POSITION_BITS) {
            self.merge_by_scan(vocabulary, text, start);
        } else {
            self.merge_by_heap(vocabulary, text, start);
        }
    }

    /// One symbol a byte.
    fn prepare(&mut self, vocabulary: &Vocabulary, text: &[u8], start: usize, end: usize) {
        let piece = &text[start..end];
        self.ids.clear();
        self.ids
            .extend(piece.iter().map(|&byte| vocabulary.byte_id(byte)));
        self.lengths.clear();
        self.lengths.resize(piece.len(), 1);
        self.floors.clear();
        self.floors.resize(piece.len(), 0);
        self.previous.clear();
        self.previous
            .extend((0..piece.len() as u32).map(|i| i.wrapping_sub(1)));
        self.pairs.clear();
        self.pairs.extend(
            piece
                .windows(2)
                .map(|pair| vocabulary.byte_pair(pair[0], pair[1])),
        );
        self.pairs.push(NO_PAIR);
        self.is_below = false;
    }

    /// Makes one symbol of each character of three bytes at whose borders no token crosses.
    ///
    /// Nothing but its own bytes merges with them before the character is whole, so it may be made first, if no merge of the whole one would have come
    /// before its own: that is what floors are for. Chinese has two merges less for each character.
    fn make_characters(&mut self, vocabulary: &Vocabulary, text: &[u8], start: usize, end: usize) {
        if self.characters.is_empty() {
            self.characters = vec![
                Character {
                    is_known: false,
                    pair: NO_PAIR
                };
                0x1_0000
            ];
        }
        let piece = &text[start..end];
        let is_part = |i: usize| i < piece.len() && piece[i] & 0xc0 == 0x80;
        let crosses =
            |i: usize| i > 0 && i < piece.len() && vocabulary.may_cross(piece[i - 1], piece[i]);
        let mut before = u32::MAX;
        let mut i = 0;
        while i < piece.len() {
            let mut length = 1;
            if piece[i] & 0xf0 == 0xe0
                && is_part(i + 1)
                && is_part(i + 2)
                && !crosses(i)
                && !crosses(i + 3)
            {
                let code_point = (piece[i] as usize & 0x0f) << 12
                    | (piece[i + 1] as usize & 0x3f) << 6
                    | (piece[i + 2] as usize & 0x3f);
                let entry = &mut self.characters[code_point];
                if !entry.is_known {
                    *entry = Character {
                        is_known: true,
                        pair: vocabulary.character(text, start + i),
                    };
                }
                if entry.pair.rank != NO_RANK {
                    length = 3;
                    self.ids[i] = entry.pair.id;
                    self.floors[i] = entry.pair.rank;
                    self.lengths[i] = 3;
                    self.pairs[i..i + 3].fill(NO_PAIR);
                }
            }
            self.previous[i] = before;
            // A pair with a byte is not one of two bytes any more.
            if before != u32::MAX && (length == 3 || self.lengths[before as usize] == 3) {
                self.update(vocabulary, text, start, before as usize);
            }
            before = i as u32;
            i += length;
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
        self.floors[i] = 0;
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
        if middle == self.lengths.len() {
            self.pairs[i] = NO_PAIR;
            return;
        }
        let end = middle + self.lengths[middle] as usize;
        let pair = vocabulary.pair(text, start + i, start + middle, start + end);
        self.is_below |= pair.rank < self.floors[i].max(self.floors[middle]);
        self.pairs[i] = pair;
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
#[path = "merge_tests.rs"]
mod tests;
