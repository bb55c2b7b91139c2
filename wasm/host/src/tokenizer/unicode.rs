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

/// Entry of a byte that is not a character of its own.
const PART: u8 = 0xff;

/// The class of every code point: one byte each, because one load beats two.
pub struct Classes {
    table: Vec<u8>,
    /// Without flags, by byte.
    ascii: [u8; 256],
}

impl Classes {
    pub fn new() -> Classes {
        let mut table = vec![OTHER; 0x11_0000];
        for &(start, end, class) in &RANGES {
            table[start as usize..end as usize].fill(class);
        }
        let mut ascii = [PART; 256];
        for (class, entry) in ascii.iter_mut().zip(&table[..0x80]) {
            *class = entry & !WORD;
        }
        Classes { table, ascii }
    }

    /// Class (without flags) and length in bytes of the character that starts at `at`; `text` is valid UTF-8 there.
    #[inline(always)]
    pub fn at(&self, text: &[u8], at: usize) -> (u8, usize) {
        let class = self.ascii[text[at] as usize];
        if class != PART {
            return (class, 1);
        }
        let (code_point, length) = decode(text, at);
        (self.table[code_point as usize] & !WORD, length)
    }

    /// End of the characters of one class that start at `at`.
    #[inline(always)]
    pub fn run(&self, text: &[u8], mut at: usize, end: usize, class: u8) -> usize {
        let text = &text[..end];
        loop {
            while at < text.len() && self.ascii[text[at] as usize] == class {
                at += 1;
            }
            if at >= text.len() || text[at] < 0x80 {
                return at;
            }
            let (found, length) = self.at(text, at);
            if found != class {
                return at;
            }
            at += length;
        }
    }

    /// End of the letters that start at `at`. `text` has its padding.
    #[inline(always)]
    pub fn letters(&self, text: &[u8], mut at: usize, end: usize) -> usize {
        loop {
            loop {
                let run = ascii_letters(text[at..at + 8].try_into().unwrap());
                at += run;
                if at >= end {
                    return end;
                }
                if run < 8 {
                    break;
                }
            }
            while text[at] >= 0x80 {
                let (class, length) = self.at(text, at);
                if class != LETTER {
                    return at;
                }
                at += length;
                if at >= end {
                    return end;
                }
            }
            if self.ascii[text[at] as usize] != LETTER {
                return at;
            }
        }
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

/// How many of eight bytes are ASCII letters before the first that is none. All eight at once: the high bit of each byte is the answer for it.
#[inline(always)]
fn ascii_letters(bytes: [u8; 8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(bytes);
    let lower = (word | (0x20 * EACH)) & (0x7f * EACH);
    let from_a = lower + (0x80 - b'a' as u64) * EACH;
    let above_z = lower + (0x80 - b'z' as u64 - 1) * EACH;
    let others = !(from_a & !above_z & !word) & (0x80 * EACH);
    others.trailing_zeros() as usize / 8
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ascii_letters() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut bytes = *b"abcXYZzA";
                bytes[place] = byte;
                assert_eq!(
                    ascii_letters(bytes),
                    if byte.is_ascii_alphabetic() { 8 } else { place }
                );
            }
        }
    }

    #[test]
    fn letters_end_where_the_run_ends() {
        let classes = Classes::new();
        let text = "aéb漢abcdefghij漢字x1".as_bytes();
        let padded = [text, &[0; 16]].concat();
        for end in (1..=text.len()).filter(|&end| end == text.len() || text[end] & 0xc0 != 0x80) {
            assert_eq!(
                classes.letters(&padded, 0, end),
                classes.run(&padded, 0, end, LETTER)
            );
        }
    }
}
