//! One decoded block: what every quantized storage type has in common.

use super::half::{f16_to_f32, f32_to_f16};
use super::storage::StorageType::{self, *};
use super::{bitsandbytes, four_bit, grid_quants, k_quants, legacy, ternary};

/// Values that share a scale in a [`Block`]; types with larger groups repeat theirs.
pub const GROUP: usize = 16;

/// Up to 256 values as `scale * factors[group] * quants[i] - minimums[group]`: the scale as the file has it (times a power of two),
/// the factors whole numbers (but for nvfp4).
pub struct Block {
    pub scale: f32,
    pub factors: [f32; 16],
    pub minimums: [f32; 16],
    pub quants: [i8; 256],
}

impl Block {
    pub const EMPTY: Block = Block {
        scale: 0.0,
        factors: [1.0; 16],
        minimums: [0.0; 16],
        quants: [0; 256],
    };

    /// Decodes one block of a quantized type. `self` must be [`Block::EMPTY`] or hold a block of the same type.
    pub fn decode(&mut self, from: StorageType, bytes: &[u8]) {
        match from {
            F32 | F16 | Bf16 | Nf4 | Nf4Bf16 | Nf4F16 | Fp4 | Fp4Bf16 | Fp4F16 => {
                unreachable!("{from:?} has no whole numbers")
            }
            Q4_0 => legacy::q4_0(bytes, self),
            Q4_1 => legacy::q4_1(bytes, self),
            Q5_0 => legacy::q5_0(bytes, self),
            Q5_1 => legacy::q5_1(bytes, self),
            Q8_0 => legacy::q8_0(bytes, self),
            Q2K => k_quants::q2_k(bytes, self),
            Q3K => k_quants::q3_k(bytes, self),
            Q4K => k_quants::q4_k(bytes, self),
            Q5K => k_quants::q5_k(bytes, self),
            Q6K => k_quants::q6_k(bytes, self),
            Iq1S => grid_quants::iq1_s(bytes, self),
            Iq1M => grid_quants::iq1_m(bytes, self),
            Iq2Xxs => grid_quants::iq2_xxs(bytes, self),
            Iq2Xs => grid_quants::iq2_xs(bytes, self),
            Iq2S => grid_quants::iq2_s(bytes, self),
            Iq3Xxs => grid_quants::iq3_xxs(bytes, self),
            Iq3S => grid_quants::iq3_s(bytes, self),
            Iq4Nl => four_bit::iq4_nl(bytes, self),
            Iq4Xs => four_bit::iq4_xs(bytes, self),
            Mxfp4 => four_bit::mxfp4(bytes, self),
            Nvfp4 => four_bit::nvfp4(bytes, self),
            Tq1_0 => ternary::tq1_0(bytes, self),
            Tq2_0 => ternary::tq2_0(bytes, self),
        }
    }

    /// The values, rounded as GGML does: the products of scale and factor are exact in f32.
    pub fn values(&self, out: &mut [f32]) {
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            let (scale, minimum) = (self.scale * self.factors[group], self.minimums[group]);
            let quants = &self.quants[group * GROUP..(group + 1) * GROUP];
            for (out, quant) in out.iter_mut().zip(quants) {
                *out = scale * *quant as f32 - minimum;
            }
        }
    }

    /// Its `count` values as q8_0: same whole numbers, scales rounded to f16. Two groups must share a factor.
    pub fn to_q8_0(&self, count: usize, out: &mut [u8]) {
        for (i, out) in out.chunks_exact_mut(34).take(count / 32).enumerate() {
            out[..2].copy_from_slice(&f32_to_f16(self.scale * self.factors[2 * i]).to_le_bytes());
            for (out, quant) in out[2..].iter_mut().zip(&self.quants[32 * i..32 * i + 32]) {
                *out = *quant as u8;
            }
        }
    }

    /// Its `count` values as q4_0: same whole numbers, which lie in -8..=7, and the same scale.
    pub fn to_q4_0(&self, count: usize, out: &mut [u8]) {
        for (i, out) in out.chunks_exact_mut(18).take(count / 32).enumerate() {
            out[..2].copy_from_slice(&f32_to_f16(self.scale).to_le_bytes());
            self.pack_nibbles(i, 8, &mut out[2..]);
        }
    }

    /// Its `count` values as q4_1: same whole numbers, which lie in 0..=15, scales and minimums rounded to f16. Two groups must share theirs.
    pub fn to_q4_1(&self, count: usize, out: &mut [u8]) {
        for (i, out) in out.chunks_exact_mut(20).take(count / 32).enumerate() {
            out[..2].copy_from_slice(&f32_to_f16(self.scale * self.factors[2 * i]).to_le_bytes());
            out[2..4].copy_from_slice(&f32_to_f16(-self.minimums[2 * i]).to_le_bytes());
            self.pack_nibbles(i, 0, &mut out[4..]);
        }
    }

    fn pack_nibbles(&self, block: usize, offset: i8, out: &mut [u8]) {
        let (low, high) = self.quants[32 * block..32 * block + 32].split_at(16);
        for (out, (low, high)) in out.iter_mut().zip(low.iter().zip(high)) {
            *out = (low + offset) as u8 | ((high + offset) as u8) << 4;
        }
    }

    /// Its 256 values as q6_k: same whole numbers, which lie in -32..=31, same factors, same scale.
    pub fn to_q6_k(&self, out: &mut [u8]) {
        let (low, rest) = out.split_at_mut(128);
        let (high, rest) = rest.split_at_mut(64);
        for half in 0..2 {
            for l in 0..32 {
                let at = |i: usize| (self.quants[128 * half + 32 * i + l] + 32) as u8;
                low[64 * half + l] = at(0) & 15 | at(2) << 4;
                low[64 * half + 32 + l] = at(1) & 15 | at(3) << 4;
                high[32 * half + l] =
                    at(0) >> 4 | at(1) >> 4 << 2 | at(2) >> 4 << 4 | at(3) >> 4 << 6;
            }
        }
        for (out, factor) in rest.iter_mut().zip(self.factors) {
            *out = factor as i8 as u8;
        }
        rest[16..18].copy_from_slice(&f32_to_f16(self.scale).to_le_bytes());
    }
}

/// The u16 at `at`.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
/// The u32 at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
/// The f16 at `at`.
pub fn f16_at(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16_at(bytes, at))
}

/// Dequantizes whole blocks of a quantized type.
pub fn dequantize(from: StorageType, bytes: &[u8], out: &mut [f32]) {
    if from.is_four_bit() {
        return bitsandbytes::dequantize(from, bytes, out);
    }
    let mut block = Block::EMPTY;
    for (bytes, out) in bytes
        .chunks_exact(from.block_bytes())
        .zip(out.chunks_exact_mut(from.block_values()))
    {
        block.decode(from, bytes);
        block.values(out);
    }
}
