//! GPT-2's byte-to-unicode alphabet: every byte has a printable character, so that a vocabulary can be a list of strings.

/// Byte of each character below U+0144, or `NONE`.
const NONE: u16 = 0xffff;

pub struct Alphabet {
    bytes: [u16; 0x144],
}

impl Alphabet {
    pub fn new() -> Alphabet {
        let mut bytes = [NONE; 0x144];
        let mut shifted = 0x100;
        for byte in 0..=0xffu16 {
            let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
            let character = if printable { byte } else { shifted };
            shifted += !printable as u16;
            bytes[character as usize] = byte;
        }
        Alphabet { bytes }
    }

    /// Appends the bytes that `token` (UTF-8) spells. False, and nothing appended, when it is not written in the alphabet.
    #[inline(never)]
    pub fn spell(&self, token: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let mut i = 0;
        while i < token.len() {
            let first = token[i];
            let (character, length) = match first {
                0..=0x7f => (first as usize, 1),
                // Every character of the alphabet has at most two bytes.
                0xc2..=0xc5 if i + 1 < token.len() => (
                    (first as usize & 0x1f) << 6 | (token[i + 1] as usize & 0x3f),
                    2,
                ),
                _ => (usize::MAX, 1),
            };
            match self.bytes.get(character) {
                Some(&byte) if byte != NONE => out.push(byte as u8),
                _ => {
                    out.truncate(start);
                    return false;
                }
            }
            i += length;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_all_bytes() {
        let alphabet = Alphabet::new();
        let mut seen = Vec::new();
        for character in (0..0x144).filter_map(char::from_u32) {
            alphabet.spell(character.to_string().as_bytes(), &mut seen);
        }
        seen.sort();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn spells_tokens() {
        let mut out = Vec::new();
        assert!(Alphabet::new().spell("ĠtheĊé".as_bytes(), &mut out));
        assert_eq!(out, b" the\n\xe9");
        assert!(!Alphabet::new().spell("ab c".as_bytes(), &mut out));
        assert!(!Alphabet::new().spell("漢".as_bytes(), &mut out));
        assert_eq!(out.len(), 6);
    }
}
