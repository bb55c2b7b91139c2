//! Keys and hashes of strings.

/// Bytes that may be read after the end of a text: keys are loaded 16 bytes at a time.
pub const PADDING: usize = 16;
/// Longest token whose bytes are its key.
pub const SHORT: usize = 15;

/// Bytes and length of a short string in two words: equal keys mean equal strings.
pub type Key = (u64, u64);

/// The key of `text[start..end]`, at most 15 bytes, 16 of which can be read.
#[inline(always)]
pub fn key(text: &[u8], start: usize, end: usize) -> Key {
    let length = end - start;
    let bytes: [u8; 16] = text[start..start + 16].try_into().unwrap();
    let both = u128::from_le_bytes(bytes);
    let (low, high) = (both as u64, (both >> 64) as u64);
    let tag = (length as u64) << 56;
    if length >= 8 {
        (low, high & ((1 << ((length - 8) * 8)) - 1) | tag)
    } else {
        (low & ((1 << (length * 8)) - 1), tag)
    }
}

#[inline(always)]
pub fn mix(low: u64, high: u64) -> u64 {
    let h = low.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ high.wrapping_mul(0xc2b2_ae3d_27d4_eb4f).rotate_left(29);
    let h = (h ^ (h >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    h ^ (h >> 32)
}

#[inline(always)]
pub fn filter_bit(hash: u64) -> u64 {
    1 << (hash >> 58)
}

pub fn hash(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64, |h, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(h, u64::from_le_bytes(word))
    })
}
