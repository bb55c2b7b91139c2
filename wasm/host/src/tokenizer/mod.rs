//! Byte-level BPE: text to tokens and back. `wasm/tokenizer.ts` is the other side of this door.
mod added;
mod alphabet;
mod encode;
mod key;
mod merge;
mod offsets;
mod regex_split;
mod split;
mod unicode;
mod unicode_ranges;
mod vocabulary;

use added::{Added, AddedTokens, Range};
use encode::{PieceEncoder, Tables};
use key::PADDING;
use regex_split::RegexSplit;
use split::{Splitter, Stage};
use unicode::Classes;
use vocabulary::Vocabulary;
use wasm_bindgen::prelude::*;

/// A tokenizer and the buffers it shares with JavaScript: text and ids go in, ids, offsets and bytes come out.
#[wasm_bindgen]
pub struct Tokenizer {
    tables: Tables,
    pieces: PieceEncoder,
    /// Bytes that JavaScript writes: packed strings or text.
    input: Vec<u8>,
    ids: Vec<u32>,
    spans: Vec<(u32, u32)>,
    offsets: Vec<u32>,
    bytes: Vec<u8>,
}

#[wasm_bindgen]
impl Tokenizer {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Tokenizer {
        let vocabulary = Vocabulary::new(&[]);
        let pieces = PieceEncoder::new(&vocabulary, true);
        let tables = Tables {
            vocabulary,
            added: AddedTokens::new(),
            splitter: Splitter::default(),
            classes: Classes::new(),
        };
        Tokenizer {
            tables,
            pieces,
            input: Vec::new(),
            ids: Vec::new(),
            spans: Vec::new(),
            offsets: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Makes room for so many bytes of input and returns where; the calls below say how many were written.
    pub fn input(&mut self, capacity: usize) -> *mut u8 {
        self.input.clear();
        self.input.reserve(capacity + PADDING);
        self.input.as_mut_ptr()
    }

    /// Takes `length` written bytes: strings, each after its length in 64 bits, as they lie in GGUF files. Rewrites them for the two calls below and
    /// returns the new length; with `skip_added`, added tokens of more than one character become empty. Returns -1 for strings that hold a NUL.
    #[wasm_bindgen(js_name = unpackStrings)]
    pub fn unpack_strings(&mut self, length: usize, skip_added: bool) -> i32 {
        self.written(length);
        let (mut read, mut write, mut id) = (0, 0, 0);
        while read + 8 <= length {
            let size = u64::from_le_bytes(self.input[read..read + 8].try_into().unwrap()) as usize;
            let start = read + 8;
            read = start.saturating_add(size).min(length);
            if self.input[start..read].contains(&0) {
                return -1;
            }
            if id > 0 {
                self.input[write] = 0;
                write += 1;
            }
            let is_byte = self.input[start..read]
                .iter()
                .filter(|&byte| byte & 0xc0 != 0x80)
                .nth(1)
                .is_none();
            if !(skip_added && self.tables.added.get(id).is_some() && !is_byte) {
                self.input.copy_within(start..read, write);
                write += read - start;
            }
            id += 1;
        }
        write as i32
    }

    /// Takes `length` written bytes: token strings in GPT-2's alphabet by id, separated by NUL. Returns how many there are.
    #[wasm_bindgen(js_name = setTokens)]
    pub fn set_tokens(&mut self, length: usize) -> usize {
        self.tables.vocabulary = Vocabulary::new(self.written(length));
        self.tables.vocabulary.len()
    }

    /// Takes `length` written bytes: merges `left right` by rank, separated by NUL.
    /// Returns the first that is not made of tokens and makes none, or -1. Ends the construction.
    #[wasm_bindgen(js_name = setMerges)]
    pub fn set_merges(&mut self, length: usize, ignore_merges: bool) -> i32 {
        self.written(length);
        let input = std::mem::take(&mut self.input);
        let result = self.tables.vocabulary.set_merges(&input[..length]);
        self.pieces = PieceEncoder::new(&self.tables.vocabulary, ignore_merges);
        result.map_or_else(|rank| rank as i32, |()| -1)
    }

    /// Adds a token that is matched before the text is split; `flags` are those of `added.rs`.
    #[wasm_bindgen(js_name = addToken)]
    pub fn add_token(&mut self, id: u32, content: &str, flags: u8) {
        self.tables.added.add(Added {
            id,
            content: content.as_bytes().to_vec(),
            flags,
        });
    }

    #[wasm_bindgen(js_name = addLlama3)]
    pub fn add_llama3(&mut self) {
        self.tables.splitter.stages.push(Stage::Llama3);
    }

    #[wasm_bindgen(js_name = addGpt2)]
    pub fn add_gpt2(&mut self) {
        self.tables.splitter.stages.push(Stage::Gpt2);
    }

    #[wasm_bindgen(js_name = addDigits)]
    pub fn add_digits(&mut self, individual: bool) {
        self.tables
            .splitter
            .stages
            .push(Stage::Digits { individual });
    }

    #[wasm_bindgen(js_name = addPrefixSpace)]
    pub fn add_prefix_space(&mut self) {
        self.tables.splitter.stages.push(Stage::PrefixSpace);
    }

    /// Adds a split by a regular expression; `behavior` is a name of tokenizer.json. Throws a string that says why the expression cannot be used.
    #[wasm_bindgen(js_name = addRegex)]
    pub fn add_regex(&mut self, pattern: &str, behavior: &str, invert: bool) -> Result<(), String> {
        self.tables
            .splitter
            .stages
            .push(Stage::Regex(RegexSplit::new(pattern, behavior, invert)?));
        Ok(())
    }

    /// Encodes the `length` written bytes of UTF-8. Returns the number of tokens, which then lie at `ids()`.
    ///
    /// Added tokens are looked for between `ranges[0]` and `ranges[1]`, `ranges[2]` and `ranges[3]` and so on, in bytes.
    pub fn encode(&mut self, length: usize, ranges: &[u32]) -> usize {
        self.written(length);
        self.ids.clear();
        self.tables.encode(
            &mut self.pieces,
            &self.input,
            &pairs(ranges),
            &mut self.ids,
            None,
        );
        self.ids.len()
    }

    /// As `encode`; start and end of each token in UTF-16 units then lie at `offsets()`.
    ///
    /// With `trim`, spaces at the ends of a token are outside; with `keep_first`, not those at the start of the text.
    #[wasm_bindgen(js_name = encodeWithOffsets)]
    pub fn encode_with_offsets(
        &mut self,
        length: usize,
        ranges: &[u32],
        trim: bool,
        keep_first: bool,
    ) -> usize {
        self.written(length);
        self.ids.clear();
        self.spans.clear();
        self.offsets.clear();
        let ranges = pairs(ranges);
        self.tables.encode(
            &mut self.pieces,
            &self.input,
            &ranges,
            &mut self.ids,
            Some(&mut self.spans),
        );
        offsets::to_utf16(&self.input, &self.spans, &mut self.offsets);
        if trim {
            for (i, &id) in self.ids.iter().enumerate() {
                let (leading, trailing) = self.spaces(id);
                let offset = &mut self.offsets[2 * i..2 * i + 2];
                let first = keep_first && (i == 0 || offset[0] == 0);
                offsets::trim(offset, if first { 0 } else { leading }, trailing);
            }
        }
        self.ids.len()
    }

    pub fn ids(&self) -> *const u32 {
        self.ids.as_ptr()
    }

    pub fn offsets(&self) -> *const u32 {
        self.offsets.as_ptr()
    }

    /// Makes room for so many ids and returns where: input of `decode`.
    #[wasm_bindgen(js_name = idInput)]
    pub fn id_input(&mut self, count: usize) -> *mut u32 {
        self.ids.clear();
        self.ids.resize(count, 0);
        self.ids.as_mut_ptr()
    }

    /// Joins the bytes of the written ids. Returns how many there are; they lie at `bytes()`. Ids without a token are left out.
    pub fn decode(&mut self, skip_special: bool) -> usize {
        self.bytes.clear();
        for &id in &self.ids {
            match self.tables.added.get(id) {
                Some(token) if skip_special && token.flags & added::SPECIAL != 0 => {}
                Some(token) => self.bytes.extend_from_slice(&token.content),
                None => self
                    .bytes
                    .extend_from_slice(self.tables.vocabulary.token(id)),
            }
        }
        self.bytes.len()
    }

    pub fn bytes(&self) -> *const u8 {
        self.bytes.as_ptr()
    }
}

impl Tokenizer {
    /// The input, `length` bytes of which JavaScript has written, with its padding.
    fn written(&mut self, length: usize) -> &[u8] {
        assert!(length + PADDING <= self.input.capacity());
        // SAFETY: `input()` reserved the capacity, and JavaScript wrote that many bytes from its start.
        unsafe { self.input.set_len(length) };
        self.input.resize(length + PADDING, 0);
        &self.input[..length]
    }

    /// Number of spaces at the start and the end of a token.
    fn spaces(&self, id: u32) -> (u32, u32) {
        match self.tables.added.get(id) {
            Some(token) => {
                let content = String::from_utf8_lossy(&token.content);
                let count =
                    |trimmed: &str| (content.chars().count() - trimmed.chars().count()) as u32;
                (count(content.trim_start()), count(content.trim_end()))
            }
            None => {
                let token = self.tables.vocabulary.token(id);
                let spaces = |byte: &&u8| **byte == b' ';
                (
                    token.iter().take_while(spaces).count() as u32,
                    token.iter().rev().take_while(spaces).count() as u32,
                )
            }
        }
    }
}

fn pairs(ranges: &[u32]) -> Vec<Range> {
    ranges
        .chunks_exact(2)
        .map(|pair| (pair[0] as usize, pair[1] as usize))
        .collect()
}

impl Default for Tokenizer {
    fn default() -> Tokenizer {
        Tokenizer::new()
    }
}
