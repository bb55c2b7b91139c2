//! The 4-bit types of bitsandbytes: `{ f32 absmax; u8 quants[32] }`, 64 values, of two neighbours the first in the high half of a byte.
//!
//! A value is a number of the code times absmax, rounded to f32 and then to the type the weights had. Source: `quantize_4bit` and
//! `dequantize_4bit` of bitsandbytes' functional.py on the CPU.

use super::half::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use super::quantize::Source;
use super::storage::StorageType::{self, *};
use crate::vector::Vector;

/// Values of a block.
const BLOCK: usize = 64;

/// The 16 numbers of a code in ascending order, with the index of each.
struct Code {
    sorted: [f32; 16],
    index: [u8; 16],
}

const NF4: Code = Code {
    sorted: [
        -1.0,
        -0.696_192_8,
        -0.525_073_05,
        -0.394_917_5,
        -0.284_441_38,
        -0.184_773_43,
        -0.091_050_036,
        0.0,
        0.079_580_3,
        0.160_930_2,
        0.246_112_3,
        0.337_915_24,
        0.440_709_83,
        0.562_617,
        0.722_956_84,
        1.0,
    ],
    index: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
};
/// Zero is there twice: 0 for what is below it, 8 for what is above.
const FP4: Code = Code {
    sorted: [
        -1.0,
        -0.666_666_7,
        -0.5,
        -0.333_333_34,
        -0.25,
        -0.166_666_67,
        -0.005_208_333_5,
        0.0,
        0.0,
        0.005_208_333_5,
        0.166_666_67,
        0.25,
        0.333_333_34,
        0.5,
        0.666_666_7,
        1.0,
    ],
    index: [11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3],
};

impl Code {
    fn of(format: StorageType) -> &'static Code {
        match format {
            Nf4 | Nf4Bf16 | Nf4F16 => &NF4,
            _ => &FP4,
        }
    }
    /// By index.
    fn table(&self) -> [f32; 16] {
        let mut table = [0.0; 16];
        for (value, index) in self.sorted.iter().zip(self.index) {
            table[index as usize] = *value;
        }
        table
    }
    /// What a number must exceed to belong to the next one of [`Code::sorted`].
    fn thresholds(&self) -> [f32; 15] {
        core::array::from_fn(|i| (self.sorted[i] + self.sorted[i + 1]) / 2.0)
    }
}

/// To the type that the weights of a format had.
#[inline(always)]
fn round(format: StorageType, value: f32) -> f32 {
    match format {
        Nf4Bf16 | Fp4Bf16 => bf16_to_f32(f32_to_bf16(value)),
        Nf4F16 | Fp4F16 => f16_to_f32(f32_to_f16(value)),
        _ => value,
    }
}

/// The largest value that a block can hold: both codes end at 1.
pub fn largest(format: StorageType, block: &[u8]) -> f32 {
    round(format, f32::from_le_bytes(block[..4].try_into().unwrap()))
}

/// Dequantizes whole blocks.
pub fn dequantize(from: StorageType, bytes: &[u8], out: &mut [f32]) {
    let table = Code::of(from).table();
    let blocks = bytes.chunks_exact(from.block_bytes());
    for (block, out) in blocks.zip(out.chunks_exact_mut(BLOCK)) {
        let absmax = f32::from_le_bytes(block[..4].try_into().unwrap());
        let values = table.map(|value| round(from, value * absmax));
        for (out, byte) in out.chunks_exact_mut(2).zip(&block[4..]) {
            out[0] = values[(byte >> 4) as usize];
            out[1] = values[(byte & 15) as usize];
        }
    }
}

/// Quantizes whole blocks of plain numbers, rounded to the type of the format first: `absmax = max |x|`, each the number of the code nearest to `x / absmax`.
pub fn quantize<V: Vector, S: Source>(to: StorageType, bytes: &[u8], out: &mut [u8]) {
    let code = Code::of(to);
    let (thresholds, magnitude) = (code.thresholds().map(V::splat), V::splat_bits(0x7fff_ffff));
    let blocks = bytes.chunks_exact(BLOCK * S::BYTES);
    for (bytes, out) in blocks.zip(out.chunks_exact_mut(to.block_bytes())) {
        let mut x = [[0.0f32; 4]; BLOCK / 4];
        for (x, bytes) in x.iter_mut().flatten().zip(bytes.chunks_exact(S::BYTES)) {
            *x = round(to, S::value(bytes));
        }
        let x = x.map(|four| V::load_floats(&four));
        let most = x
            .iter()
            .fold(V::splat(0.0), |most, x| most.max(x.and(magnitude)));
        let absmax = most.to_array().into_iter().fold(0.0, f32::max);
        let times = V::splat(if absmax > 0.0 { 1.0 / absmax } else { 0.0 });
        // Every threshold that a number does not exceed takes one from its rank: a mask is -1.
        let ranks = x.map(|x| {
            let x = x.mul(times);
            let last = V::splat_bits(15);
            thresholds
                .iter()
                .fold(last, |rank, limit| rank.add_int(limit.ge(x)))
        });
        out[..4].copy_from_slice(&absmax.to_le_bytes());
        for (out, ranks) in out[4..].chunks_exact_mut(8).zip(ranks.chunks_exact(4)) {
            let ranks = V::narrow_u8(ranks.try_into().unwrap());
            for (out, pair) in out.iter_mut().zip(ranks.chunks_exact(2)) {
                let index = |rank: u8| code.index[rank as usize & 15];
                *out = index(pair[0]) << 4 | index(pair[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::quantize::FromF32;
    use crate::vector::Native;

    /// The nearest number by trying all of them; of two as near the lower one.
    #[test]
    fn every_number_is_the_nearest() {
        for to in [Nf4, Fp4] {
            let code = Code::of(to);
            let x: Vec<f32> = (0..BLOCK).map(|i| (i as f32 * 12.9898).sin()).collect();
            let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
            let (mut packed, mut got) = ([0u8; 36], [0f32; BLOCK]);
            quantize::<Native, FromF32>(to, &bytes, &mut packed);
            dequantize(to, &packed, &mut got);
            let absmax = x.iter().fold(0f32, |most, x| most.max(x.abs()));
            for (x, got) in x.iter().zip(got) {
                let distance = |number: f32| (x / absmax - number).abs();
                let nearest = code.sorted.iter().fold(2.0, |best: f32, number| {
                    if distance(*number) < distance(best) {
                        *number
                    } else {
                        best
                    }
                });
                assert_eq!(got, nearest * absmax);
            }
        }
    }
}
