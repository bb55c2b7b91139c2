//! Offsets of tokens in UTF-16 units.

/// A place in UTF-8 text at a character boundary.
#[derive(Clone, Copy, Default)]
struct Cursor {
    byte: usize,
    unit: u32,
}

impl Cursor {
    fn step(self, text: &[u8]) -> Cursor {
        let (bytes, units) = match text[self.byte] {
            0..=0x7f => (1, 1),
            0x80..=0xdf => (2, 1),
            0xe0..=0xef => (3, 1),
            _ => (4, 2),
        };
        Cursor {
            byte: self.byte + bytes,
            unit: self.unit + units,
        }
    }
}

/// Start and end in UTF-16 units of each span of bytes; a span that cuts a character covers it. Starts ascend.
pub fn to_utf16(text: &[u8], spans: &[(u32, u32)], out: &mut Vec<u32>) {
    let mut at = Cursor::default();
    for &(start, end) in spans {
        while at.byte < start as usize {
            let next = at.step(text);
            if next.byte > start as usize {
                break;
            }
            at = next;
        }
        let mut to = at;
        while to.byte < end as usize {
            to = to.step(text);
        }
        out.extend([at.unit, to.unit]);
    }
}

/// Moves an offset past `leading` and before `trailing` spaces of its token.
pub fn trim(offset: &mut [u32], leading: u32, trailing: u32) {
    if leading > 0 {
        offset[0] = (offset[0] + leading).min(offset[1]);
    }
    if trailing > 0 && offset[1] >= trailing {
        offset[1] = (offset[1] - trailing).max(offset[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_characters_are_covered() {
        let mut out = Vec::new();
        to_utf16(
            "aé🙂z".as_bytes(),
            &[(0, 2), (2, 3), (3, 5), (5, 7), (7, 8)],
            &mut out,
        );
        assert_eq!(out, [0, 2, 1, 2, 2, 4, 2, 4, 4, 5]);
    }

    #[test]
    fn trims_spaces() {
        let mut offsets = [0, 3, 4, 9];
        trim(&mut offsets[..2], 3, 3);
        trim(&mut offsets[2..], 1, 0);
        assert_eq!(offsets, [3, 3, 5, 9]);
    }
}
