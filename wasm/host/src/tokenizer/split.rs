//! Pre-tokenization: where text is cut before merging. The two expressions that most byte-level vocabularies use are written by hand.
use super::regex_split::RegexSplit;
use super::unicode::{previous, Classes, LETTER, NEWLINE, NUMBER, OTHER, SPACE};

/// End of the match of the Llama-3 expression that starts at `at`; `at < end`, both at character boundaries.
///
/// ```text
/// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
/// ```
#[inline(always)]
pub fn llama3(classes: &Classes, text: &[u8], at: usize, end: usize) -> usize {
    let (class, length) = classes.at(text, at);
    let second = at + length;
    if class == NUMBER {
        let mut i = second;
        for _ in 0..2 {
            match class_before(classes, text, i, end) {
                (NUMBER, length) => i += length,
                _ => break,
            }
        }
        return i;
    }
    if text[at] == b'\'' {
        if let Some(end) = contraction(text, second, end, true) {
            return end;
        }
    }
    if class != NEWLINE {
        let i = classes.letters(text, second, end);
        if i > second || class == LETTER {
            return i;
        }
    }
    let (next, _) = class_before(classes, text, second, end);
    if class == OTHER || (text[at] == b' ' && next == OTHER) {
        let mut i = classes.run(text, second, end, OTHER);
        while i < end && (text[i] == b'\r' || text[i] == b'\n') {
            i += 1;
        }
        return i;
    }
    let mut newline_end = at;
    let mut i = at;
    while i < end {
        let (class, length) = classes.at(text, i);
        if class < SPACE {
            break;
        }
        i += length;
        if class == NEWLINE {
            newline_end = i;
        }
    }
    if newline_end > at {
        return newline_end;
    }
    leave_one(text, at, i, end)
}

/// End of the match of GPT-2's expression that starts at `at`; `at < end`, both at character boundaries.
///
/// ```text
/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// ```
///
/// With `DIGITS`, the text is first cut around each single number: white space before one is at the end of its piece.
#[inline(always)]
pub fn gpt2<const DIGITS: bool>(classes: &Classes, text: &[u8], at: usize, end: usize) -> usize {
    let (class, length) = classes.at(text, at);
    let second = at + length;
    if DIGITS && class == NUMBER {
        return second;
    }
    if text[at] == b'\'' {
        if let Some(end) = contraction(text, second, end, false) {
            return end;
        }
    }
    let spaced = text[at] == b' ';
    if spaced || class == LETTER {
        let i = classes.letters(text, second, end);
        if i > second || class == LETTER {
            return i;
        }
    }
    if class < SPACE {
        return classes.run(text, second, end, class);
    }
    let (next, next_length) = class_before(classes, text, second, end);
    if spaced && next < SPACE && !(DIGITS && next == NUMBER) {
        return classes.run(text, second + next_length, end, next);
    }
    let i = classes.skip_spaces(text, second, end);
    if DIGITS && class_before(classes, text, i, end).0 == NUMBER {
        return i;
    }
    leave_one(text, at, i, end)
}

/// `\s+(?!\S)|\s+` over white space that ends at `i`: the last character stays for the word that follows.
#[inline(always)]
fn leave_one(text: &[u8], at: usize, i: usize, end: usize) -> usize {
    let last = previous(text, at, i);
    if i < end && last > at {
        last
    } else {
        i
    }
}

/// Class of no character.
const END: u8 = 0xff;

#[inline(always)]
fn class_before(classes: &Classes, text: &[u8], at: usize, end: usize) -> (u8, usize) {
    if at < end {
        classes.at(text, at)
    } else {
        (END, 0)
    }
}

/// End of `s|t|re|ve|m|ll|d` at `at`, after an apostrophe. Without regard to case, the long s (U+017F) is an s as well.
#[inline(always)]
fn contraction(text: &[u8], at: usize, end: usize, ignore_case: bool) -> Option<usize> {
    let lower = |i: usize| {
        if i >= end {
            0
        } else {
            text[i] | if ignore_case { text[i] & 0x40 } else { 0 } >> 1
        }
    };
    match (lower(at), lower(at + 1)) {
        (b's' | b't' | b'm' | b'd', _) => Some(at + 1),
        (b'r' | b'v', b'e') | (b'l', b'l') => Some(at + 2),
        _ if ignore_case && text[at..end].starts_with("ſ".as_bytes()) => Some(at + 2),
        _ => None,
    }
}

/// One stage of pre-tokenization.
pub enum Stage {
    Llama3,
    Gpt2,
    Digits { individual: bool },
    PrefixSpace,
    Regex(RegexSplit),
}

/// Where a piece comes from, when a stage has put a space before it.
#[derive(Clone, Copy)]
pub struct Origin {
    /// Position in the text of position 0.
    pub shift: isize,
    /// Position in the text below which nothing of it lies.
    pub floor: usize,
}

impl Origin {
    pub const TEXT: Origin = Origin { shift: 0, floor: 0 };

    pub fn position(self, position: usize) -> usize {
        (position as isize + self.shift).max(self.floor as isize) as usize
    }
}

/// All stages, in order.
#[derive(Default)]
pub struct Splitter {
    pub stages: Vec<Stage>,
}

impl Splitter {
    /// Hands each piece of `text[start..end]` to `sink`, from left to right. `text` has its padding.
    pub fn split(
        &self,
        classes: &Classes,
        text: &[u8],
        start: usize,
        end: usize,
        sink: &mut impl FnMut(&[u8], usize, usize, Origin),
    ) {
        self.stage(0, classes, text, start, end, Origin::TEXT, sink);
    }

    #[allow(clippy::too_many_arguments)]
    fn stage<F: FnMut(&[u8], usize, usize, Origin)>(
        &self,
        level: usize,
        classes: &Classes,
        text: &[u8],
        start: usize,
        end: usize,
        origin: Origin,
        sink: &mut F,
    ) {
        if start == end {
            return;
        }
        let Some(stage) = self.stages.get(level) else {
            return sink(text, start, end, origin);
        };
        let mut next = |text: &[u8], a: usize, b: usize| {
            self.stage(level + 1, classes, text, a, b, origin, sink)
        };
        match stage {
            Stage::Llama3 => each(
                text,
                start,
                end,
                |text, at| llama3(classes, text, at, end),
                next,
            ),
            Stage::Gpt2 => each(
                text,
                start,
                end,
                |text, at| gpt2::<false>(classes, text, at, end),
                next,
            ),
            Stage::Digits { individual } => each(
                text,
                start,
                end,
                |text, at| digits(classes, text, at, end, *individual),
                next,
            ),
            Stage::Regex(split) => split.split(text, start, end, &mut next),
            Stage::PrefixSpace if text[start] == b' ' => next(text, start, end),
            Stage::PrefixSpace => {
                let mut spaced = Vec::with_capacity(end - start + 1 + super::key::PADDING);
                spaced.push(b' ');
                spaced.extend_from_slice(&text[start..end]);
                spaced.resize(spaced.len() + super::key::PADDING, 0);
                let floor = origin.position(start);
                let origin = Origin {
                    shift: floor as isize - 1,
                    floor,
                };
                self.stage(
                    level + 1,
                    classes,
                    &spaced,
                    0,
                    end - start + 1,
                    origin,
                    sink,
                );
            }
        }
    }
}

/// Cuts at each end that `next` finds.
#[inline(always)]
fn each(
    text: &[u8],
    start: usize,
    end: usize,
    next: impl Fn(&[u8], usize) -> usize,
    mut sink: impl FnMut(&[u8], usize, usize),
) {
    let mut at = start;
    while at < end {
        let piece_end = next(text, at);
        sink(text, at, piece_end);
        at = piece_end;
    }
}

/// End of the number, or of what is none, at `at`.
fn digits(classes: &Classes, text: &[u8], at: usize, end: usize, individual: bool) -> usize {
    let (class, length) = classes.at(text, at);
    if class == NUMBER {
        return if individual {
            at + length
        } else {
            classes.run(text, at, end, NUMBER)
        };
    }
    let mut i = at + length;
    while i < end {
        let (class, length) = classes.at(text, i);
        if class == NUMBER {
            break;
        }
        i += length;
    }
    i
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
