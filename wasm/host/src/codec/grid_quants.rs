//! The i-quants that look groups of 4 or 8 values up in a grid: iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s.
//!
//! Scales are `d * (2 s + 1)` times a power of two, which goes into the scale of the block so that factors are whole numbers.

use super::block::{f16_at, u16_at, u32_at, Block};
use super::grids;
use super::half::f16_to_f32;

const IQ2: [i8; 4] = [8, 25, 43, 0];
/// Half of iq3_xxs's values 4, 12, 20, 28, 36, 44, 52 and 62.
const IQ3_XXS: [i8; 8] = [2, 6, 10, 14, 18, 22, 26, 31];

/// Eight signs in seven bits: the eighth makes the number of minus signs even.
fn even_signs(bits: u32) -> u32 {
    let bits = bits & 127;
    bits | (bits.count_ones() & 1) << 7
}
fn signed(value: i8, signs: u32, i: usize) -> i8 {
    if signs >> i & 1 == 1 {
        -value
    } else {
        value
    }
}
fn iq2_point(point: u16, signs: u32, out: &mut [i8]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = signed(IQ2[(point >> (2 * i) & 3) as usize], signs, i);
    }
}

/// `{ f16 d; { u8 points[4]; u32 signs_and_scale }[8] }`, value `d (2 s + 1) / 8 * grid`.
pub fn iq2_xxs(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0) * 0.125;
    for i in 0..8 {
        let signs = u32_at(bytes, 6 + 8 * i);
        block.factors[2 * i..2 * i + 2].fill((2 * (signs >> 28) + 1) as f32);
        for (l, out) in block.quants[32 * i..32 * i + 32]
            .chunks_exact_mut(8)
            .enumerate()
        {
            iq2_point(
                grids::IQ2_XXS[bytes[2 + 8 * i + l] as usize],
                even_signs(signs >> (7 * l)),
                out,
            );
        }
    }
}

/// Four bits of scale for each group of 16, value `d (2 s + 1) / 8 * grid`.
fn iq2_factors(scales: &[u8], block: &mut Block) {
    for (group, factor) in block.factors.iter_mut().enumerate() {
        *factor = (2 * (scales[group / 2] >> (group % 2 * 4) & 15) + 1) as f32;
    }
}

/// `{ f16 d; u16 points[32]; u8 scales[8] }`: a point has 9 bits of grid and 7 of signs.
pub fn iq2_xs(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0) * 0.125;
    iq2_factors(&bytes[66..74], block);
    for (i, out) in block.quants.chunks_exact_mut(8).enumerate() {
        let point = u16_at(bytes, 2 + 2 * i);
        iq2_point(
            grids::IQ2_XS[(point & 511) as usize],
            even_signs((point >> 9) as u32),
            out,
        );
    }
}

/// `{ f16 d; u8 points[32]; u8 signs[32]; u8 high[8]; u8 scales[8] }`: a point has 8 bits and 2 in `high`.
pub fn iq2_s(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0) * 0.125;
    iq2_factors(&bytes[74..82], block);
    for (i, out) in block.quants.chunks_exact_mut(8).enumerate() {
        let point =
            bytes[2 + i] as usize | ((bytes[66 + i / 4] >> (2 * (i % 4)) & 3) as usize) << 8;
        iq2_point(grids::IQ2_S[point], bytes[34 + i] as u32, out);
    }
}

/// `{ f16 d; u8 points[64]; u32 signs_and_scales[8] }`, value `d (2 s + 1) / 4 * grid`; here half the grid and twice the scale.
pub fn iq3_xxs(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0) * 0.5;
    for i in 0..8 {
        let packed = u32_at(bytes, 66 + 4 * i);
        block.factors[2 * i..2 * i + 2].fill((2 * (packed >> 28) + 1) as f32);
        for (k, out) in block.quants[32 * i..32 * i + 32]
            .chunks_exact_mut(4)
            .enumerate()
        {
            let (point, signs) = (
                grids::IQ3_XXS[bytes[2 + 8 * i + k] as usize],
                even_signs(packed >> (k / 2 * 7)) >> (k % 2 * 4),
            );
            for (j, out) in out.iter_mut().enumerate() {
                *out = signed(IQ3_XXS[(point >> (4 * j) & 7) as usize], signs, j);
            }
        }
    }
}

/// `{ f16 d; u8 points[64]; u8 high[8]; u8 signs[32]; u8 scales[4] }`, value `d (2 s + 1) * grid`; a point has 8 bits and 1 in `high`.
pub fn iq3_s(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    for (group, factor) in block.factors.iter_mut().enumerate() {
        *factor = (2 * (bytes[106 + group / 4] >> (group / 2 % 2 * 4) & 15) + 1) as f32;
    }
    for (i, out) in block.quants.chunks_exact_mut(4).enumerate() {
        let point = grids::IQ3_S
            [bytes[2 + i] as usize | ((bytes[66 + i / 8] >> (i % 8) & 1) as usize) << 8];
        let signs = bytes[74 + i / 2] as u32 >> (i % 2 * 4);
        for (j, out) in out.iter_mut().enumerate() {
            *out = signed(2 * (point >> (4 * j) & 7) as i8 + 1, signs, j);
        }
    }
}

/// Eight values `d (2 s + 1) * (grid + delta)` with grid in -1, 0, 1 and delta an eighth up or down; here eight times that.
fn iq1_point(index: usize, down: bool, out: &mut [i8]) {
    let point = grids::IQ1[index];
    for (i, out) in out.iter_mut().enumerate() {
        *out = 8 * (point >> (2 * i) & 3) as i8 - 8 + if down { -1 } else { 1 };
    }
}

/// `{ f16 d; u8 points[32]; u16 high[8] }`: `high` has 3 bits for each of four points, 3 of scale, and the direction of delta.
pub fn iq1_s(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0) * 0.125;
    for i in 0..8 {
        let high = u16_at(bytes, 34 + 2 * i);
        block.factors[2 * i..2 * i + 2].fill((2 * (high >> 12 & 7) + 1) as f32);
        for (l, out) in block.quants[32 * i..32 * i + 32]
            .chunks_exact_mut(8)
            .enumerate()
        {
            let index = bytes[2 + 4 * i + l] as usize | ((high >> (3 * l) & 7) as usize) << 8;
            iq1_point(index, high & 0x8000 != 0, out);
        }
    }
}

/// `{ u8 points[32]; u8 high[16]; u16 scales[4] }`: half a byte of `high` for each point, 3 bits of scale for each 16 values;
/// the top bits of the four words of scales make up the f16 scale of the block.
pub fn iq1_m(bytes: &[u8], block: &mut Block) {
    let scales: [u16; 4] = core::array::from_fn(|i| u16_at(bytes, 48 + 2 * i));
    block.scale = f16_to_f32(iq1_m_scale(bytes)) * 0.125;
    for (group, factor) in block.factors.iter_mut().enumerate() {
        *factor = (2 * (scales[group / 4] >> (group % 4 * 3) & 7) + 1) as f32;
    }
    for (i, out) in block.quants.chunks_exact_mut(8).enumerate() {
        let high = bytes[32 + i / 2] >> (i % 2 * 4);
        iq1_point(
            bytes[i] as usize | ((high & 7) as usize) << 8,
            high & 8 != 0,
            out,
        );
    }
}

/// Bits of the f16 scale of an iq1_m block.
pub fn iq1_m_scale(bytes: &[u8]) -> u16 {
    (0..4)
        .map(|i| u16_at(bytes, 48 + 2 * i) >> 12 << (4 * i))
        .sum()
}
