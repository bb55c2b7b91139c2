//! Splits by regular expressions that are not written by hand.
use super::unicode::previous;
use regex_lite::Regex;

/// What becomes of the matches of an expression, as in tokenizer.json.
enum Behavior {
    Isolated,
    Removed,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

pub struct RegexSplit {
    regex: Regex,
    behavior: Behavior,
    invert: bool,
}

/// A match of this group leaves its last character to the next match: what is left of `\s+(?!\S)` without lookahead.
const SHORTENED: &str = "shortened";

impl RegexSplit {
    /// The error says why the expression cannot be used.
    pub fn new(pattern: &str, behavior: &str, invert: bool) -> Result<RegexSplit, String> {
        let behavior = match behavior {
            "isolated" => Behavior::Isolated,
            "removed" => Behavior::Removed,
            "mergedWithPrevious" => Behavior::MergedWithPrevious,
            "mergedWithNext" => Behavior::MergedWithNext,
            "contiguous" => Behavior::Contiguous,
            other => return Err(format!("unknown behavior {other}")),
        };
        let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
        Ok(RegexSplit {
            regex,
            behavior,
            invert,
        })
    }

    /// Hands each piece of `text[start..end]` to `sink`, from left to right.
    pub fn split(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        sink: &mut impl FnMut(&[u8], usize, usize),
    ) {
        let mut parts: Vec<(usize, usize, bool)> = Vec::new();
        // Offsets of the input are at character boundaries, and the input is UTF-8: see `Tokenizer::input`.
        let piece = std::str::from_utf8(&text[start..end]).unwrap_or("");
        self.matches(piece, &mut |from, to, is_match| {
            parts.push((start + from, start + to, is_match != self.invert))
        });
        let joins =
            |previous: &(usize, usize, bool), next: &(usize, usize, bool)| match self.behavior {
                Behavior::Isolated | Behavior::Removed => false,
                Behavior::MergedWithPrevious => next.2 && !previous.2,
                Behavior::MergedWithNext => previous.2 && !next.2,
                Behavior::Contiguous => previous.2 == next.2,
            };
        for group in parts.chunk_by(joins) {
            if !(matches!(self.behavior, Behavior::Removed) && group[0].2) {
                sink(text, group[0].0, group[group.len() - 1].1);
            }
        }
    }

    /// Matches and what lies between them.
    fn matches(&self, text: &str, sink: &mut impl FnMut(usize, usize, bool)) {
        let (mut rest, mut at) = (0, 0);
        while let Some(groups) = self.regex.captures_at(text, at) {
            let (from, mut to) = groups
                .get(0)
                .map_or((at, at), |found| (found.start(), found.end()));
            if groups.name(SHORTENED).is_some() {
                to = previous(text.as_bytes(), from, to);
            }
            if to == from {
                // An empty match cuts nothing.
                at = to + 1;
                while at < text.len() && !text.is_char_boundary(at) {
                    at += 1;
                }
                if at > text.len() {
                    break;
                }
                continue;
            }
            if rest < from {
                sink(rest, from, false);
            }
            sink(from, to, true);
            rest = to;
            at = to;
        }
        if rest < text.len() {
            sink(rest, text.len(), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pattern: &str, behavior: &str, invert: bool, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        RegexSplit::new(pattern, behavior, invert).unwrap().split(
            text.as_bytes(),
            0,
            text.len(),
            &mut |text, start, end| {
                found.push(String::from_utf8(text[start..end].to_vec()).unwrap());
            },
        );
        found
    }

    #[test]
    fn behaviors_are_those_of_tokenizer_json() {
        let text = "--a-b--";
        assert_eq!(
            pieces("-", "isolated", false, text),
            ["-", "-", "a", "-", "b", "-", "-"]
        );
        assert_eq!(pieces("-", "removed", false, text), ["a", "b"]);
        assert_eq!(
            pieces("-", "removed", true, text),
            ["-", "-", "-", "-", "-"]
        );
        assert_eq!(
            pieces("-", "mergedWithPrevious", false, text),
            ["-", "-", "a-", "b-", "-"]
        );
        assert_eq!(
            pieces("-", "mergedWithNext", false, text),
            ["-", "-a", "-b", "-", "-"]
        );
        assert_eq!(
            pieces("-", "contiguous", false, text),
            ["--", "a", "-", "b", "--"]
        );
    }

    #[test]
    fn the_shortened_group_leaves_its_last_character() {
        let spaces = r"(?:\s+\z)|(?P<shortened>\s+\s)|\s+|\S+";
        assert_eq!(
            pieces(spaces, "isolated", false, "a   b c  "),
            ["a", "  ", " ", "b", " ", "c", "  "]
        );
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        assert!(
            RegexSplit::new("(", "isolated", false).is_err_and(|reason| reason.contains("group"))
        );
        assert!(RegexSplit::new("a", "other", false).is_err_and(|reason| reason.contains("other")));
    }

    #[test]
    fn empty_matches_cut_nothing() {
        assert_eq!(pieces("x*", "isolated", false, "éxxé"), ["é", "xx", "é"]);
    }
}
