//! From text to tokens.
use super::added::{AddedTokens, Range};
use super::key::{Key, PADDING};
use super::merge::Merger;
use super::split::{gpt2, llama3, Origin, Splitter, Stage};
use super::unicode::Classes;
use super::vocabulary::{Vocabulary, NO_TOKEN};

const PIECES_A_CALL: usize = 512;
/// Slots of the cache of pieces; one entry each, the last to come stays.
const CACHE_SLOTS: usize = 1 << 14;
/// Tokens the cache holds in all; it starts anew when they are used up.
const CACHE_TOKENS: usize = 1 << 18;

#[derive(Clone, Copy, Default)]
struct Cached {
    low: u64,
    /// Zero where nothing is cached.
    high: u64,
    start: u32,
    length: u32,
}

/// Is a piece that is a token also what the merges make of it?
#[derive(Clone, Copy, PartialEq)]
enum Whole {
    Unknown,
    Yes,
    No,
}

/// Everything that changes while pieces are encoded.
pub struct PieceEncoder {
    ignore_merges: bool,
    /// Is every byte a token?
    complete: bool,
    /// By token; empty with `ignore_merges`.
    whole: Vec<Whole>,
    merger: Merger,
    cache: Vec<Cached>,
    cached_ids: Vec<u32>,
}

impl PieceEncoder {
    pub fn new(vocabulary: &Vocabulary, ignore_merges: bool) -> PieceEncoder {
        PieceEncoder {
            ignore_merges,
            complete: (0..=255).all(|byte| vocabulary.byte_id(byte) != NO_TOKEN),
            whole: if ignore_merges {
                Vec::new()
            } else {
                vec![Whole::Unknown; vocabulary.len()]
            },
            merger: Merger::default(),
            cache: vec![Cached::default(); CACHE_SLOTS],
            cached_ids: Vec::new(),
        }
    }

    /// Appends the tokens of the pieces of `text[at..end]` that `next` finds, a few at most. Returns where it stopped.
    ///
    /// One of the loops that everything waits for: with its own references the compiler keeps what they lead to in registers. It ends now and then
    /// because V8 goes over to its optimized code at calls only.
    #[inline(never)]
    fn encode_some(
        &mut self,
        Tables {
            vocabulary,
            classes,
            ..
        }: &Tables,
        text: &[u8],
        mut at: usize,
        end: usize,
        ids: &mut Vec<u32>,
        next: impl Fn(&Classes, &[u8], usize, usize) -> usize,
    ) -> usize {
        for _ in 0..PIECES_A_CALL {
            if at == end {
                break;
            }
            let piece_end = next(classes, text, at, end);
            self.encode(vocabulary, text, at, piece_end, ids);
            at = piece_end;
        }
        at
    }

    /// Appends the tokens of the piece `text[start..end]`.
    #[inline(always)]
    fn encode(
        &mut self,
        vocabulary: &Vocabulary,
        text: &[u8],
        start: usize,
        end: usize,
        ids: &mut Vec<u32>,
    ) {
        match Vocabulary::key(text, start, end) {
            Some(key) => {
                let id = vocabulary.find_key(key);
                if id != NO_TOKEN && (self.ignore_merges || self.whole[id as usize] == Whole::Yes) {
                    ids.push(id);
                } else {
                    self.encode_short(vocabulary, text, start, end, key, id, ids);
                }
            }
            None => self.encode_long(vocabulary, text, start, end, ids),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn encode_short(
        &mut self,
        vocabulary: &Vocabulary,
        text: &[u8],
        start: usize,
        end: usize,
        key: Key,
        id: u32,
        ids: &mut Vec<u32>,
    ) {
        let slot = (key.0 ^ key.1.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize
            >> (usize::BITS - CACHE_SLOTS.trailing_zeros());
        let cached = self.cache[slot];
        if (cached.low, cached.high) == key {
            ids.extend_from_slice(
                &self.cached_ids[cached.start as usize..(cached.start + cached.length) as usize],
            );
            return;
        }
        let first = ids.len();
        self.merge(vocabulary, text, start, end, ids);
        if id != NO_TOKEN && !self.ignore_merges && self.whole[id as usize] == Whole::Unknown {
            self.whole[id as usize] = if ids[first..] == [id] {
                Whole::Yes
            } else {
                Whole::No
            };
        }
        if self.cached_ids.len() + ids.len() - first > CACHE_TOKENS {
            self.cached_ids.clear();
            self.cache.fill(Cached::default());
        }
        self.cache[slot] = Cached {
            low: key.0,
            high: key.1,
            start: self.cached_ids.len() as u32,
            length: (ids.len() - first) as u32,
        };
        self.cached_ids.extend_from_slice(&ids[first..]);
    }

    fn encode_long(
        &mut self,
        vocabulary: &Vocabulary,
        text: &[u8],
        start: usize,
        end: usize,
        ids: &mut Vec<u32>,
    ) {
        let id = if self.ignore_merges {
            vocabulary.find(text, start, end)
        } else {
            NO_TOKEN
        };
        if id != NO_TOKEN {
            ids.push(id);
        } else {
            self.merge(vocabulary, text, start, end, ids);
        }
    }

    /// Merges; bytes that the vocabulary lacks are left out first, as Hugging Face's tokenizers do without an unknown token.
    fn merge(
        &mut self,
        vocabulary: &Vocabulary,
        text: &[u8],
        start: usize,
        end: usize,
        ids: &mut Vec<u32>,
    ) {
        if self.complete {
            return self.merger.merge(vocabulary, text, start, end, ids);
        }
        let mut known: Vec<u8> = text[start..end]
            .iter()
            .copied()
            .filter(|&byte| vocabulary.byte_id(byte) != NO_TOKEN)
            .collect();
        let length = known.len();
        if length == 0 {
            return;
        }
        known.resize(length + PADDING, 0);
        self.merger.merge(vocabulary, &known, 0, length, ids);
    }
}

/// All that stays the same while text is encoded.
pub struct Tables {
    pub vocabulary: Vocabulary,
    pub added: AddedTokens,
    pub splitter: Splitter,
    pub classes: Classes,
}

impl Tables {
    /// Appends the tokens of `text` (UTF-8 and padding) to `ids` and, when asked for, the range of bytes of each to `spans`.
    ///
    /// Added tokens are looked for in the ascending `ranges` of bytes only.
    pub fn encode(
        &self,
        pieces: &mut PieceEncoder,
        text: &[u8],
        ranges: &[Range],
        ids: &mut Vec<u32>,
        mut spans: Option<&mut Vec<(u32, u32)>>,
    ) {
        let Tables {
            vocabulary,
            added,
            splitter,
            classes,
        } = self;
        let end = text.len() - PADDING;
        added.cut(
            classes,
            text,
            end,
            ranges,
            &mut |start, end, token| match (token, &mut spans) {
                (None, None) => self.encode_plain(pieces, text, start, end, ids),
                (None, Some(spans)) => splitter.split(
                    classes,
                    text,
                    start,
                    end,
                    &mut |text, start, end, origin| {
                        let first = ids.len();
                        pieces.encode(vocabulary, text, start, end, ids);
                        self.locate(start, origin, &ids[first..], spans);
                    },
                ),
                (Some(token), spans) => {
                    ids.push(token.id);
                    if let Some(spans) = spans {
                        spans.push((start as u32, end as u32));
                    }
                }
            },
        );
    }

    /// Appends the tokens of text without added tokens.
    fn encode_plain(
        &self,
        pieces: &mut PieceEncoder,
        text: &[u8],
        start: usize,
        end: usize,
        ids: &mut Vec<u32>,
    ) {
        let mut at = start;
        while at < end {
            at = match self.splitter.stages[..] {
                [Stage::Llama3] => pieces.encode_some(self, text, at, end, ids, llama3),
                [Stage::Gpt2] => pieces.encode_some(self, text, at, end, ids, gpt2::<false>),
                [Stage::Digits { individual: true }, Stage::Gpt2] => {
                    pieces.encode_some(self, text, at, end, ids, gpt2::<true>)
                }
                _ => {
                    self.splitter.split(
                        &self.classes,
                        text,
                        start,
                        end,
                        &mut |text, start, end, _| {
                            pieces.encode(&self.vocabulary, text, start, end, ids);
                        },
                    );
                    end
                }
            };
        }
    }

    /// Tokens of a piece lie one after the other. Bytes that the vocabulary lacks are not counted, in Hugging Face's tokenizers neither.
    fn locate(&self, start: usize, origin: Origin, ids: &[u32], spans: &mut Vec<(u32, u32)>) {
        let mut at = start;
        for &id in ids {
            let end = at + self.vocabulary.token(id).len();
            spans.push((origin.position(at) as u32, origin.position(end) as u32));
            at = end;
        }
    }
}
