//! Tests of the hand-written splits.
use super::*;

fn pieces(stages: Vec<Stage>, text: &str) -> Vec<String> {
    let mut padded = text.as_bytes().to_vec();
    padded.resize(padded.len() + super::super::key::PADDING, 0);
    let mut found = Vec::new();
    Splitter { stages }.split(
        &Classes::new(),
        &padded,
        0,
        text.len(),
        &mut |text, start, end, _| {
            found.push(String::from_utf8(text[start..end].to_vec()).unwrap());
        },
    );
    found
}

#[test]
fn llama3_takes_each_alternative() {
    assert_eq!(
        pieces(
            vec![Stage::Llama3],
            "I'LL 'sb 'ſa don't 12345 a=?!\r\n\n  x\u{a0}y   \n z  \t"
        ),
        [
            "I",
            "'LL",
            " '",
            "sb",
            " '",
            "ſa",
            " don",
            "'t",
            " ",
            "123",
            "45",
            " a",
            "=?!\r\n\n",
            " ",
            " x",
            "\u{a0}y",
            "   \n",
            " z",
            "  \t"
        ]
    );
}

#[test]
fn gpt2_takes_each_alternative() {
    assert_eq!(
        pieces(
            vec![Stage::Gpt2],
            "I'LL it's 'tis 12345 a=?!\r\n\n  x\u{a0}y  "
        ),
        [
            "I", "'", "LL", " it", "'s", " '", "tis", " 12345", " a", "=?!", "\r\n\n ", " x",
            "\u{a0}", "y", "  "
        ]
    );
}

#[test]
fn digits_then_gpt2() {
    assert_eq!(
        pieces(
            vec![Stage::Digits { individual: true }, Stage::Gpt2],
            "ab 12c"
        ),
        ["ab", " ", "1", "2", "c"]
    );
    assert_eq!(
        pieces(
            vec![Stage::Digits { individual: false }, Stage::Gpt2],
            "ab 12c"
        ),
        ["ab", " ", "12", "c"]
    );
}

#[test]
fn prefix_space_is_put_once() {
    assert_eq!(
        pieces(vec![Stage::PrefixSpace, Stage::Gpt2], "ab c"),
        [" ab", " c"]
    );
    assert_eq!(
        pieces(vec![Stage::PrefixSpace, Stage::Gpt2], " ab c"),
        [" ab", " c"]
    );
}

#[test]
fn digits_in_one_go() {
    let text = "a 1  2\n3 b  c 'll4 's5x .6 . 7\u{661} 8  ";
    let padded = [text.as_bytes(), &[0; 16]].concat();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = gpt2::<true>(&Classes::new(), &padded, at, text.len());
        found.push(text[at..end].to_string());
        at = end;
    }
    assert_eq!(
        found,
        pieces(vec![Stage::Digits { individual: true }, Stage::Gpt2], text)
    );
}
