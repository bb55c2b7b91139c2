//! Classes of characters, as the split expressions see them.
use super::unicode_ranges::RANGES;

/// None of the others: punctuation, symbols, marks, controls, unassigned.
pub const OTHER: u8 = 0;
/// `\p{L}`
pub const LETTER: u8 = 1;
/// `\p{N}`
pub const NUMBER: u8 = 2;
/// `\s` without the next two
pub const SPACE: u8 = 3;
/// `[\r\n]`
pub const NEWLINE: u8 = 4;
/// Flag beside the class: `\w`
pub const WORD: u8 = 8;

/// The class of every code point: one byte each, because one load beats two.
pub struct Classes {
    table: Vec<u8>,
}

impl Classes {
    pub fn new() -> Classes {
        let mut table = vec![OTHER; 0x11_0000];
        for &(start, end, class) in &RANGES {
            table[start as usize..end as usize].fill(class);
        }
        Classes { table }
    }

    /// Class (without flags) and length in bytes of the character that starts at `at`; `text` is valid UTF-8 there.
    #[inline(always)]
    pub fn at(&self, text: &[u8], at: usize) -> (u8, usize) {
        let first = text[at];
        if first < 0x80 {
            return (self.table[first as usize] & !WORD, 1);
        }
        let (code_point, length) = decode(text, at);
        (self.table[code_point as usize] & !WORD, length)
    }

    /// Is the character that starts at `at` a `\w`?
    pub fn is_word(&self, text: &[u8], at: usize) -> bool {
        self.table[decode(text, at).0 as usize] & WORD != 0
    }

    /// Is the character that starts at `at` white space?
    #[inline(always)]
    pub fn is_space(&self, text: &[u8], at: usize) -> bool {
        self.at(text, at).0 >= SPACE
    }

    /// End of the white space that starts at `at`.
    pub fn skip_spaces(&self, text: &[u8], mut at: usize, end: usize) -> usize {
        while at < end {
            let (class, length) = self.at(text, at);
            if class < SPACE {
                break;
            }
            at += length;
        }
        at
    }
}

/// Code point and length in bytes of the character that starts at `at`; `text` is valid UTF-8 there.
#[inline(always)]
pub fn decode(text: &[u8], at: usize) -> (u32, usize) {
    let first = text[at] as u32;
    let next = |i: usize| text[at + i] as u32 & 0x3f;
    if first < 0x80 {
        (first, 1)
    } else if first < 0xe0 {
        ((first & 0x1f) << 6 | next(1), 2)
    } else if first < 0xf0 {
        ((first & 0x0f) << 12 | next(1) << 6 | next(2), 3)
    } else {
        // The mask keeps the result inside the table even if the text is not UTF-8 after all.
        (
            ((first & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3)).min(0x10_ffff),
            4,
        )
    }
}

/// Start of the character that ends before `at`, at or after `start`.
pub fn previous(text: &[u8], start: usize, at: usize) -> usize {
    let mut i = at - 1;
    while i > start && text[i] & 0xc0 == 0x80 {
        i -= 1;
    }
    i
}
