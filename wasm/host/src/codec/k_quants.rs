//! The k-quants: 256 values in groups of 16 or 32 whose factors are whole numbers.

use super::block::{f16_at, Block};

/// `{ u8 scales[16]; u8 quants[64]; f16 d, dmin }`: a scale byte has the factor below and the minimum above.
pub fn q2_k(bytes: &[u8], block: &mut Block) {
    let minimum = f16_at(bytes, 82);
    block.scale = f16_at(bytes, 80);
    for (group, byte) in bytes[..16].iter().enumerate() {
        block.factors[group] = (byte & 15) as f32;
        block.minimums[group] = minimum * (byte >> 4) as f32;
    }
    for (i, out) in block.quants.chunks_exact_mut(32).enumerate() {
        let packed = &bytes[16 + i / 4 * 32..];
        for (out, byte) in out.iter_mut().zip(packed) {
            *out = (byte >> (2 * (i % 4)) & 3) as i8;
        }
    }
}

/// `{ u8 high[32]; u8 quants[64]; u8 scales[12]; f16 d }`: 2 bits and one above them, less 4; factors of 6 bits, less 32.
pub fn q3_k(bytes: &[u8], block: &mut Block) {
    let scales = &bytes[96..108];
    block.scale = f16_at(bytes, 108);
    for (group, factor) in block.factors.iter_mut().enumerate() {
        let low = scales[group % 8] >> (group / 8 * 4) & 15;
        let high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        *factor = (low | high << 4) as f32 - 32.0;
    }
    for (i, out) in block.quants.chunks_exact_mut(32).enumerate() {
        let packed = &bytes[32 + i / 4 * 32..];
        for (l, out) in out.iter_mut().enumerate() {
            *out = (packed[l] >> (2 * (i % 4)) & 3 | (bytes[l] >> i & 1) << 2) as i8 - 4;
        }
    }
}

/// The scales of q4_k and q5_k: for eight groups of 32 a factor and a minimum of 6 bits in 12 bytes.
fn six_bit_scales(scales: &[u8], minimum: f32, block: &mut Block) {
    for j in 0..8 {
        let (factor, times) = if j < 4 {
            (scales[j] & 63, scales[j + 4] & 63)
        } else {
            (
                scales[j + 4] & 15 | scales[j - 4] >> 6 << 4,
                scales[j + 4] >> 4 | scales[j] >> 6 << 4,
            )
        };
        block.factors[2 * j..2 * j + 2].fill(factor as f32);
        block.minimums[2 * j..2 * j + 2].fill(minimum * times as f32);
    }
}

/// `{ f16 d, dmin; u8 scales[12]; u8 quants[128] }`: 32 bytes hold 32 values below and the next 32 above.
pub fn q4_k(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    six_bit_scales(&bytes[4..16], f16_at(bytes, 2), block);
    for (out, packed) in block
        .quants
        .chunks_exact_mut(64)
        .zip(bytes[16..144].chunks_exact(32))
    {
        let (low, high) = out.split_at_mut(32);
        for (l, byte) in packed.iter().enumerate() {
            low[l] = (byte & 15) as i8;
            high[l] = (byte >> 4) as i8;
        }
    }
}

/// `{ f16 d, dmin; u8 scales[12]; u8 high[32]; u8 quants[128] }`: as q4_k, a fifth bit for group `i` in bit `i` of `high`.
pub fn q5_k(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    six_bit_scales(&bytes[4..16], f16_at(bytes, 2), block);
    for (i, out) in block.quants.chunks_exact_mut(32).enumerate() {
        let packed = &bytes[48 + i / 2 * 32..];
        for (l, out) in out.iter_mut().enumerate() {
            *out = (packed[l] >> (i % 2 * 4) & 15 | (bytes[16 + l] >> i & 1) << 4) as i8;
        }
    }
}

/// `{ u8 low[128]; u8 high[64]; i8 scales[16]; f16 d }`: 4 bits and 2 above them, less 32.
pub fn q6_k(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 208);
    for (factor, byte) in block.factors.iter_mut().zip(&bytes[192..208]) {
        *factor = *byte as i8 as f32;
    }
    for (i, out) in block.quants.chunks_exact_mut(32).enumerate() {
        let low = &bytes[i / 4 * 64 + i % 2 * 32..];
        let high = &bytes[128 + i / 4 * 32..];
        for (l, out) in out.iter_mut().enumerate() {
            *out =
                (low[l] >> (i % 4 / 2 * 4) & 15 | (high[l] >> (2 * (i % 4)) & 3) << 4) as i8 - 32;
        }
    }
}
