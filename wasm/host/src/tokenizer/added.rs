//! Added tokens: strings that are looked for in the text before it is split.
use super::unicode::{previous, Classes};

pub const SPECIAL: u8 = 1;
pub const SINGLE_WORD: u8 = 2;
pub const LSTRIP: u8 = 4;
pub const RSTRIP: u8 = 8;
pub const NORMALIZED: u8 = 16;

pub struct Added {
    pub id: u32,
    pub content: Vec<u8>,
    pub flags: u8,
}

/// Start and end of a part of the text, in bytes.
pub type Range = (usize, usize);

#[derive(Default)]
struct Node {
    /// Ascending bytes.
    children: Vec<(u8, u32)>,
    token: Option<u32>,
}

/// Finds the leftmost, longest of many strings.
struct Trie {
    nodes: Vec<Node>,
    is_first: [bool; 256],
}

impl Trie {
    fn new() -> Trie {
        Trie {
            nodes: vec![Node::default()],
            is_first: [false; 256],
        }
    }

    fn insert(&mut self, content: &[u8], token: u32) {
        self.is_first[content[0] as usize] = true;
        let mut node = 0;
        for &byte in content {
            let place = self.nodes[node]
                .children
                .binary_search_by_key(&byte, |child| child.0);
            node = match place {
                Ok(i) => self.nodes[node].children[i].1 as usize,
                Err(i) => {
                    let new = self.nodes.len();
                    self.nodes[node].children.insert(i, (byte, new as u32));
                    self.nodes.push(Node::default());
                    new
                }
            };
        }
        self.nodes[node].token = Some(token);
    }

    /// First match in `text[start..end]` that lies in one of the `ranges`: start, end and token. Drops ranges that lie before it.
    fn find(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        ranges: &mut &[Range],
    ) -> Option<(usize, usize, u32)> {
        while let Some(range) = ranges.first() {
            if range.0 >= end {
                return None;
            }
            if let Some(found) = self.find_in(text, start.max(range.0), end.min(range.1)) {
                return Some(found);
            }
            if range.1 > end {
                return None;
            }
            *ranges = &ranges[1..];
        }
        None
    }

    fn find_in(&self, text: &[u8], start: usize, end: usize) -> Option<(usize, usize, u32)> {
        let mut at = start.min(end);
        while let Some(skipped) = text[at..end]
            .iter()
            .position(|&byte| self.is_first[byte as usize])
        {
            at += skipped;
            let mut longest = None;
            let mut node = &self.nodes[0];
            for (i, byte) in text[at..end].iter().enumerate() {
                let Ok(child) = node.children.binary_search_by_key(byte, |child| child.0) else {
                    break;
                };
                node = &self.nodes[node.children[child].1 as usize];
                longest = node.token.map(|token| (at, at + i + 1, token)).or(longest);
            }
            if longest.is_some() {
                return longest;
            }
            at += 1;
        }
        None
    }
}

/// All added tokens. Those that are `normalized` are looked for in what the others leave, as in Hugging Face's tokenizers.
pub struct AddedTokens {
    tokens: Vec<Added>,
    /// Positions in `tokens`, ascending id.
    by_id: Vec<u32>,
    tries: [Trie; 2],
}

impl AddedTokens {
    pub fn new() -> AddedTokens {
        AddedTokens {
            tokens: Vec::new(),
            by_id: Vec::new(),
            tries: [Trie::new(), Trie::new()],
        }
    }

    pub fn add(&mut self, token: Added) {
        let index = self.tokens.len() as u32;
        if !token.content.is_empty() {
            self.tries[(token.flags & NORMALIZED != 0) as usize].insert(&token.content, index);
        }
        match self
            .by_id
            .binary_search_by_key(&token.id, |&i| self.tokens[i as usize].id)
        {
            Ok(place) => self.by_id[place] = index,
            Err(place) => self.by_id.insert(place, index),
        }
        self.tokens.push(token);
    }

    #[inline(always)]
    pub fn get(&self, id: u32) -> Option<&Added> {
        let &last = self.by_id.last()?;
        if id < self.tokens[self.by_id[0] as usize].id || id > self.tokens[last as usize].id {
            return None;
        }
        let place = self
            .by_id
            .binary_search_by_key(&id, |&i| self.tokens[i as usize].id)
            .ok()?;
        Some(&self.tokens[self.by_id[place] as usize])
    }

    /// Hands `text[..end]` to `sink` from left to right: added tokens with their id, what lies between without.
    ///
    /// Tokens are looked for in the ascending `ranges` only, and do not reach beyond one.
    pub fn cut(
        &self,
        classes: &Classes,
        text: &[u8],
        end: usize,
        ranges: &[Range],
        sink: &mut impl FnMut(usize, usize, Option<&Added>),
    ) {
        let mut second = ranges;
        self.cut_by(
            &self.tries[0],
            classes,
            text,
            (0, end),
            &mut &*ranges,
            &mut |start, end, token| match token {
                None => self.cut_by(
                    &self.tries[1],
                    classes,
                    text,
                    (start, end),
                    &mut second,
                    sink,
                ),
                token => sink(start, end, token),
            },
        );
    }

    fn cut_by(
        &self,
        trie: &Trie,
        classes: &Classes,
        text: &[u8],
        (start, end): Range,
        ranges: &mut &[Range],
        sink: &mut impl FnMut(usize, usize, Option<&Added>),
    ) {
        let (mut rest, mut at) = (start, start);
        while let Some((mut token_start, mut token_end, token)) = trie.find(text, at, end, ranges) {
            let token = &self.tokens[token as usize];
            at = token_end;
            if token.flags & SINGLE_WORD != 0 {
                let word_before = token_start > start
                    && classes.is_word(text, previous(text, start, token_start));
                if word_before || (token_end < end && classes.is_word(text, token_end)) {
                    continue;
                }
            }
            if token.flags & LSTRIP != 0 {
                while token_start > rest
                    && classes.is_space(text, previous(text, rest, token_start))
                {
                    token_start = previous(text, rest, token_start);
                }
            }
            if token.flags & RSTRIP != 0 {
                token_end = classes.skip_spaces(text, token_end, end);
                at = token_end;
            }
            if rest < token_start {
                sink(rest, token_start, None);
            }
            sink(token_start, token_end, Some(token));
            rest = token_end;
        }
        if rest < end {
            sink(rest, end, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(tokens: &[(&str, u8)], text: &str) -> Vec<(String, bool)> {
        cut_ranges(tokens, text, None)
    }

    fn cut_ranges(
        tokens: &[(&str, u8)],
        text: &str,
        ranges: Option<Vec<Range>>,
    ) -> Vec<(String, bool)> {
        let mut added = AddedTokens::new();
        for (i, (content, flags)) in tokens.iter().enumerate() {
            added.add(Added {
                id: i as u32,
                content: content.as_bytes().to_vec(),
                flags: *flags,
            });
        }
        let mut found = Vec::new();
        let ranges: Vec<Range> = ranges.unwrap_or(vec![(0, text.len())]);
        added.cut(
            &Classes::new(),
            text.as_bytes(),
            text.len(),
            &ranges,
            &mut |start, end, token| {
                found.push((text[start..end].to_string(), token.is_some()));
            },
        );
        found
    }

    fn pieces(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
        expected
            .iter()
            .map(|&(text, token)| (text.to_string(), token))
            .collect()
    }

    #[test]
    fn leftmost_longest_wins() {
        let tokens = [("<a>", 0), ("<a>b", 0), ("a>", 0)];
        assert_eq!(
            cut(&tokens, "x<a>bc<a>a>"),
            pieces(&[
                ("x", false),
                ("<a>b", true),
                ("c", false),
                ("<a>", true),
                ("a>", true)
            ])
        );
    }

    #[test]
    fn strips_white_space() {
        let tokens = [("<l>", LSTRIP), ("<r>", RSTRIP)];
        assert_eq!(
            cut(&tokens, "a \n<l> b <r>\u{a0} c"),
            pieces(&[
                ("a", false),
                (" \n<l>", true),
                (" b ", false),
                ("<r>\u{a0} ", true),
                ("c", false)
            ])
        );
        assert_eq!(
            cut(&tokens, "<r>  <l>"),
            pieces(&[("<r>  ", true), ("<l>", true)])
        );
    }

    #[test]
    fn single_words_stand_alone() {
        assert_eq!(
            cut(&[("ab", SINGLE_WORD)], "ab abc é.ab,éab"),
            pieces(&[
                ("ab", true),
                (" abc é.", false),
                ("ab", true),
                (",éab", false)
            ])
        );
    }

    #[test]
    fn normalized_tokens_come_second() {
        assert_eq!(
            cut(&[("abc", NORMALIZED), ("cd", 0)], "abcd abc"),
            pieces(&[("ab", false), ("cd", true), (" ", false), ("abc", true)])
        );
    }

    #[test]
    fn tokens_stay_inside_a_range() {
        let tokens = [("<a>", 0), ("<a", 0), (">", NORMALIZED)];
        let ranges = vec![(0, 4), (5, 6), (6, 10), (12, 14)];
        assert_eq!(
            cut_ranges(&tokens, "<a><a> <a> <a><a>", Some(ranges)),
            pieces(&[
                ("<a>", true),
                ("<a", false),
                (">", true),
                (" ", false),
                ("<a>", true),
                (" <a", false),
                (">", true),
                ("<a>", false)
            ])
        );
    }
}
