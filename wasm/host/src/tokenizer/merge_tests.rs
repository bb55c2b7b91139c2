//! Merging against the rule by the book.
use super::super::key::PADDING;
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

/// A character of GPT-2's alphabet for each byte of the test's characters.
fn spelled(bytes: &[u8]) -> String {
    let character = |byte: u8| match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => byte as u32,
        0..=0x20 => 0x100 + byte as u32,
        0x7f..=0xa0 => 0x121 + byte as u32 - 0x7f,
        0xad => 0x143,
    };
    bytes
        .iter()
        .map(|&byte| char::from_u32(character(byte)).unwrap())
        .collect()
}

#[test]
fn whole_characters_first_changes_nothing() {
    let mut random = Random(3);
    let mut below = 0;
    for round in 0..400 {
        let letters: Vec<char> = "漢字漣孖a漢é".chars().collect();
        let mut tokens: Vec<Vec<u8>> = Vec::new();
        for letter in &letters {
            for byte in letter.to_string().bytes().map(|byte| vec![byte]) {
                if !tokens.contains(&byte) {
                    tokens.push(byte);
                }
            }
        }
        let mut merges: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let join = |left: &[u8],
                    right: &[u8],
                    tokens: &mut Vec<Vec<u8>>,
                    merges: &mut Vec<(Vec<u8>, Vec<u8>)>| {
            let made = [left, right].concat();
            if made.len() <= 12 && !tokens.contains(&made) {
                tokens.push(made);
                merges.push((left.to_vec(), right.to_vec()));
            }
        };
        // Most characters are tokens; some tokens cross their borders.
        for letter in &letters {
            let bytes = letter.to_string().into_bytes();
            if bytes.len() == 3 && random.below(5) > 0 {
                join(&bytes[..2], &bytes[2..], &mut tokens, &mut merges);
                join(&bytes[..1], &bytes[1..2], &mut tokens, &mut merges);
            }
        }
        for _ in 0..round % 40 {
            let (left, right) = (
                tokens[random.below(tokens.len())].clone(),
                tokens[random.below(tokens.len())].clone(),
            );
            let text = [&left[..], &right[..]].concat();
            if random.below(8) == 0 || std::str::from_utf8(&text).is_ok() {
                join(&left, &right, &mut tokens, &mut merges);
            }
        }
        for i in (1..merges.len()).rev() {
            if random.below(3) == 0 {
                merges.swap(i, i - 1);
            }
        }
        let strings = |list: &[Vec<u8>]| {
            list.iter()
                .map(|token| spelled(token))
                .collect::<Vec<_>>()
                .join("\0")
        };
        let mut vocabulary = Vocabulary::new(strings(&tokens).as_bytes());
        let named: Vec<(String, String)> = merges
            .iter()
            .map(|(left, right)| (spelled(left), spelled(right)))
            .collect();
        let lines: Vec<String> = named
            .iter()
            .map(|(left, right)| format!("{left} {right}"))
            .collect();
        vocabulary.set_merges(lines.join("\0").as_bytes()).unwrap();
        for length in [1, 2, 5, 20, 100] {
            let text: String = (0..length)
                .map(|_| letters[random.below(letters.len())])
                .collect();
            let padded = [text.as_bytes(), &[0; PADDING]].concat();
            let (mut ids, mut merger) = (Vec::new(), Merger::default());
            merger.merge(&vocabulary, &padded, 0, text.len(), &mut ids);
            let found: Vec<String> = ids
                .iter()
                .map(|&id| spelled(vocabulary.token(id)))
                .collect();
            assert_eq!(
                found,
                oracle(&named, &spelled(text.as_bytes())),
                "{lines:?} {text}"
            );
            merger.prepare(&vocabulary, &padded, 0, text.len());
            merger.make_characters(&vocabulary, &padded, 0, text.len());
            merger.merge_by_heap(&vocabulary, &padded, 0);
            below += merger.is_below as usize;
        }
    }
    assert!(below > 0, "no vocabulary needed its floors");
}
