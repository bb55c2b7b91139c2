//! Tokens by their bytes, merges by the token they make.
use super::alphabet::Alphabet;
use super::key::{filter_bit, hash, key, mix, Key, PADDING, SHORT};

pub const NO_TOKEN: u32 = u32::MAX;
pub const NO_RANK: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Short {
    low: u64,
    /// Zero where the slot is free: a key holds a length.
    high: u64,
    id: u32,
}

/// A way to make a token: the first `left` bytes are the left part.
#[derive(Clone, Copy)]
struct Merge {
    rank: u32,
    left: u32,
}

/// What a pair of neighbours becomes, and how soon.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pair {
    pub rank: u32,
    pub id: u32,
}

pub const NO_PAIR: Pair = Pair {
    rank: NO_RANK,
    id: NO_TOKEN,
};

/// Open-addressing tables from bytes to tokens. Built once, then only read.
#[derive(Default)]
pub struct Vocabulary {
    /// Bytes of all tokens, one after the other, and padding.
    bytes: Vec<u8>,
    /// Token `id` is `bytes[starts[id]..starts[id + 1]]`.
    starts: Vec<u32>,
    short: Vec<Short>,
    /// A bit for each short token, at a place its hash tells: small enough for the cache, it answers most look-ups that find nothing.
    filter: Vec<u64>,
    /// Ids of tokens too long for a key.
    long: Vec<u32>,
    longest: usize,
    /// Token of each single byte.
    byte_ids: Vec<u32>,
    /// Merges of token `id`: `merges[merge_starts[id]..merge_starts[id + 1]]`, ascending rank.
    merge_starts: Vec<u32>,
    merges: Vec<Merge>,
    /// Merge of each pair of bytes: `left * 256 + right`.
    byte_pairs: Vec<Pair>,
    merge_count: usize,
    /// A bit for each two bytes that lie at a border of characters inside a token that begins or ends within a character.
    crossings: Vec<u64>,
}

impl Vocabulary {
    /// Reads token strings in GPT-2's alphabet, separated by NUL. Strings not in that alphabet are kept as they are, but never matched.
    pub fn new(strings: &[u8]) -> Vocabulary {
        let alphabet = Alphabet::new();
        let mut vocabulary = Vocabulary {
            starts: vec![0],
            byte_ids: vec![NO_TOKEN; 256],
            ..Default::default()
        };
        vocabulary.bytes.reserve(strings.len() + PADDING);
        let mut matched = Vec::new();
        for string in strings.split(|&byte| byte == 0) {
            let spelled = alphabet.spell(string, &mut vocabulary.bytes);
            if !spelled {
                vocabulary.bytes.extend_from_slice(string);
            }
            matched.push(spelled);
            vocabulary.starts.push(vocabulary.bytes.len() as u32);
        }
        vocabulary.bytes.resize(vocabulary.bytes.len() + PADDING, 0);
        vocabulary.index(&matched);
        vocabulary
    }

    fn index(&mut self, matched: &[bool]) {
        let lengths = || self.starts.windows(2).map(|w| (w[1] - w[0]) as usize);
        let long_count = lengths().filter(|&length| length > SHORT).count();
        self.long = vec![NO_TOKEN; (long_count * 2).next_power_of_two().max(2)];
        let free = Short {
            low: 0,
            high: 0,
            id: NO_TOKEN,
        };
        self.short = vec![free; (matched.len() * 2).next_power_of_two().max(2)];
        self.filter = vec![0; (matched.len() / 4).next_power_of_two()];
        self.longest = lengths().max().unwrap_or(0);
        self.crossings = vec![0; 0x1_0000 / 64];
        for id in (0..matched.len()).filter(|&id| matched[id]) {
            self.enter(id);
        }
    }

    // Not inlined, like the other steps of the long loops: V8 goes over to optimized code at calls only.
    #[inline(never)]
    fn enter(&mut self, id: usize) {
        let (start, end) = (self.starts[id] as usize, self.starts[id + 1] as usize);
        self.note_crossings(start, end);
        match end - start {
            0 => {}
            1 => {
                self.byte_ids[self.bytes[start] as usize] = id as u32;
                self.insert_short(start, end, id as u32);
            }
            2..=SHORT => self.insert_short(start, end, id as u32),
            _ => {
                let mask = self.long.len() - 1;
                let mut slot = hash(&self.bytes[start..end]) as usize & mask;
                while self.long[slot] != NO_TOKEN {
                    slot = (slot + 1) & mask;
                }
                self.long[slot] = id as u32;
            }
        }
    }

    fn note_crossings(&mut self, start: usize, end: usize) {
        let token = &self.bytes[start..end];
        let is_part = |byte: &u8| byte & 0xc0 == 0x80;
        let Some(last) = token.iter().rposition(|byte| !is_part(byte)) else {
            return;
        };
        let whole = match token[last] {
            0..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        if !is_part(&token[0]) && token.len() - last >= whole {
            return;
        }
        for border in token.windows(2).filter(|border| !is_part(&border[1])) {
            let place = border[0] as usize * 256 + border[1] as usize;
            self.crossings[place / 64] |= 1 << (place % 64);
        }
    }

    /// Can a token begin or end within a character, and hold the border between the one that ends with `left` and the one that begins with `right`?
    #[inline(always)]
    pub fn may_cross(&self, left: u8, right: u8) -> bool {
        let place = left as usize * 256 + right as usize;
        self.crossings[place / 64] >> (place % 64) & 1 != 0
    }

    fn insert_short(&mut self, start: usize, end: usize, id: u32) {
        let (low, high) = key(&self.bytes, start, end);
        let hash = mix(low, high);
        let word = self.filter_word(hash);
        self.filter[word] |= filter_bit(hash);
        let mask = self.short.len() - 1;
        let mut slot = hash as usize & mask;
        while self.short[slot].high != 0 {
            slot = (slot + 1) & mask;
        }
        self.short[slot] = Short { low, high, id };
    }

    /// Number of ids, holes included.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn token(&self, id: u32) -> &[u8] {
        match self.starts.get(id as usize..id as usize + 2) {
            Some(ends) => &self.bytes[ends[0] as usize..ends[1] as usize],
            None => &[],
        }
    }

    /// The token of one byte, `NO_TOKEN` where the vocabulary lacks it.
    #[inline(always)]
    pub fn byte_id(&self, byte: u8) -> u32 {
        self.byte_ids[byte as usize]
    }

    /// The key of a string that is short enough to have one.
    #[inline(always)]
    pub fn key(text: &[u8], start: usize, end: usize) -> Option<Key> {
        (end - start <= SHORT).then(|| key(text, start, end))
    }

    /// The token with these bytes, `NO_TOKEN` when there is none. `text` has its padding.
    #[inline(always)]
    pub fn find(&self, text: &[u8], start: usize, end: usize) -> u32 {
        match Self::key(text, start, end) {
            Some(key) => self.find_key(key),
            None => self.find_long(&text[start..end]),
        }
    }

    #[inline(always)]
    pub fn find_key(&self, key: Key) -> u32 {
        self.find_hashed(key, mix(key.0, key.1))
    }

    #[inline(always)]
    fn filter_word(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.filter.len() - 1)
    }

    #[inline(always)]
    fn find_hashed(&self, (low, high): Key, hash: u64) -> u32 {
        let mask = self.short.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let entry = &self.short[slot];
            if entry.low == low && entry.high == high {
                return entry.id;
            }
            if entry.high == 0 {
                return NO_TOKEN;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn find_long(&self, bytes: &[u8]) -> u32 {
        if bytes.len() > self.longest {
            return NO_TOKEN;
        }
        let mask = self.long.len() - 1;
        let mut slot = hash(bytes) as usize & mask;
        loop {
            let id = self.long[slot];
            if id == NO_TOKEN || self.token(id) == bytes {
                return id;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Reads merges `left right`, separated by NUL, in order of rank.
    ///
    /// Most vocabularies list merges in the order of the tokens they make, so the token is usually that of the merge before, or the next:
    /// comparing with those first saves nearly all look-ups. Returns the first merge whose token is not in the vocabulary.
    pub fn set_merges(&mut self, strings: &[u8]) -> Result<(), usize> {
        let alphabet = Alphabet::new();
        let mut made: Vec<(u32, u32)> = Vec::with_capacity(strings.len() / 8);
        let mut joined = Vec::with_capacity(256);
        let mut guess = 0;
        if !strings.is_empty() {
            for (rank, string) in strings.split(|&byte| byte == 0).enumerate() {
                let (id, left) = self
                    .merged(&alphabet, string, guess, &mut joined)
                    .ok_or(rank)?;
                guess = id;
                made.push((id, left));
            }
        }
        self.merge_count = made.len();
        self.order_merges(&made);
        Ok(())
    }

    /// The token that a merge makes, looked for at `guess` and the next first, and the length of its left part.
    #[inline(never)]
    fn merged(
        &self,
        alphabet: &Alphabet,
        string: &[u8],
        guess: u32,
        joined: &mut Vec<u8>,
    ) -> Option<(u32, u32)> {
        let space = string.iter().position(|&byte| byte == b' ')?;
        joined.clear();
        if !alphabet.spell(&string[..space], joined) {
            return None;
        }
        let left = joined.len();
        if left == 0 || !alphabet.spell(&string[space + 1..], joined) || joined.len() == left {
            return None;
        }
        let id = if self.token(guess) == joined {
            guess
        } else if self.token(guess + 1) == joined {
            guess + 1
        } else {
            let length = joined.len();
            joined.resize(length + PADDING, 0);
            self.find(joined, 0, length)
        };
        (id != NO_TOKEN).then_some((id, left as u32))
    }

    /// Counting sort of (token, left length) by token.
    fn order_merges(&mut self, made: &[(u32, u32)]) {
        let mut starts = vec![0u32; self.len() + 1];
        for &(id, _) in made {
            starts[id as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        self.merges = vec![
            Merge {
                rank: NO_RANK,
                left: 0
            };
            made.len()
        ];
        for (rank, &(id, left)) in made.iter().enumerate() {
            let slot = &mut next[id as usize];
            self.merges[*slot as usize] = Merge {
                rank: rank as u32,
                left,
            };
            *slot += 1;
        }
        self.merge_starts = starts;
        self.byte_pairs = vec![NO_PAIR; 0x1_0000];
        for id in 0..self.len() as u32 {
            if let &[left, right] = self.token(id) {
                let rank = self.rank(id, 1);
                if rank != NO_RANK {
                    self.byte_pairs[left as usize * 256 + right as usize] = Pair { rank, id };
                }
            }
        }
    }

    pub fn merge_count(&self) -> usize {
        self.merge_count
    }

    /// Rank of the merge that makes `id` from a left part of so many bytes; a merge that is listed twice counts where it stands last.
    #[inline(always)]
    fn rank(&self, id: u32, left: u32) -> u32 {
        let (start, end) = (
            self.merge_starts[id as usize] as usize,
            self.merge_starts[id as usize + 1] as usize,
        );
        self.merges[start..end]
            .iter()
            .rev()
            .find(|merge| merge.left == left)
            .map_or(NO_RANK, |merge| merge.rank)
    }

    /// What two neighbouring bytes become.
    #[inline(always)]
    pub fn byte_pair(&self, left: u8, right: u8) -> Pair {
        self.byte_pairs[left as usize * 256 + right as usize]
    }

    /// What the three bytes of a character become, when that is one token: the token, and the highest rank on the way to it.
    pub fn character(&self, text: &[u8], at: usize) -> Pair {
        let (first, second) = (
            self.byte_pair(text[at], text[at + 1]),
            self.byte_pair(text[at + 1], text[at + 2]),
        );
        let (rank, middle) = if first.rank <= second.rank {
            (first.rank, 2)
        } else {
            (second.rank, 1)
        };
        if rank == NO_RANK {
            return NO_PAIR;
        }
        let pair = self.pair(text, at, at + middle, at + 3);
        if pair.rank == NO_RANK {
            return NO_PAIR;
        }
        Pair {
            rank: pair.rank.max(rank),
            id: pair.id,
        }
    }

    /// What the neighbours `text[start..middle]` and `text[middle..end]`, both tokens, become.
    #[inline(always)]
    pub fn pair(&self, text: &[u8], start: usize, middle: usize, end: usize) -> Pair {
        let id = match Self::key(text, start, end) {
            Some(key) => {
                let hash = mix(key.0, key.1);
                if self.filter[self.filter_word(hash)] & filter_bit(hash) == 0 {
                    return NO_PAIR;
                }
                self.find_hashed(key, hash)
            }
            None => self.find_long(&text[start..end]),
        };
        if id == NO_TOKEN {
            return NO_PAIR;
        }
        Pair {
            rank: self.rank(id, (middle - start) as u32),
            id,
        }
    }
}
