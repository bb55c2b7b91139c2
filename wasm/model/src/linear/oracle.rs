//! The scalar oracle of every kernel: plain dequantization of the blocks of a file, and products summed in f64.

use super::format::{scale_min, Format};
use super::four_bit_numbers::{Code, Fp4, Nf4};

/// The value of a half, exactly (infinities and NaN excepted: a weight holds none).
fn f16_to_f32(bits: u16) -> f32 {
    let sign = (bits as u32 & 0x8000) << 16;
    // Exponent and mantissa moved into place read as 2^-112 times the value, subnormals included.
    f32::from_bits((bits as u32 & 0x7fff) << 13 | sign) * f32::from_bits(239 << 23)
}

fn half(block: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// Dequantizes one block into `out` (as many values as the block holds).
pub fn dequantize(format: Format, block: &[u8], out: &mut [f32]) {
    match format {
        Format::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
        Format::F16 => out[0] = half(block, 0),
        Format::Bf16 => {
            out[0] = f32::from_bits((u16::from_le_bytes([block[0], block[1]]) as u32) << 16)
        }
        Format::Q8_0 => {
            let d = half(block, 0);
            for i in 0..32 {
                out[i] = d * block[2 + i] as i8 as f32;
            }
        }
        Format::Q4_0 => {
            let d = half(block, 0);
            for i in 0..16 {
                out[i] = d * ((block[2 + i] & 15) as f32 - 8.0);
                out[16 + i] = d * ((block[2 + i] >> 4) as f32 - 8.0);
            }
        }
        Format::Q4_1 => {
            let (d, m) = (half(block, 0), half(block, 2));
            for i in 0..16 {
                out[i] = d * (block[4 + i] & 15) as f32 + m;
                out[16 + i] = d * (block[4 + i] >> 4) as f32 + m;
            }
        }
        Format::Q4K | Format::Q5K => {
            let (d, dmin) = (half(block, 0), half(block, 2));
            let five = format == Format::Q5K;
            for i in 0..256 {
                let sub = i / 32;
                let (scale, min) = scale_min(&block[4..16], sub);
                let byte = block[if five { 48 } else { 16 } + sub / 2 * 32 + i % 32];
                let low = byte >> (4 * (sub % 2)) & 15;
                let high = if five {
                    block[16 + i % 32] >> sub & 1
                } else {
                    0
                };
                out[i] = d * scale as f32 * (low | high << 4) as f32 - dmin * min as f32;
            }
        }
        Format::Nf4 => four_bit(Nf4::NUMBERS, block, |x| x, out),
        Format::Nf4Bf16 => four_bit(Nf4::NUMBERS, block, |x| round(x, 7, -126), out),
        Format::Nf4F16 => four_bit(Nf4::NUMBERS, block, |x| round(x, 10, -14), out),
        Format::Fp4 => four_bit(Fp4::NUMBERS, block, |x| x, out),
        Format::Fp4Bf16 => four_bit(Fp4::NUMBERS, block, |x| round(x, 7, -126), out),
        Format::Fp4F16 => four_bit(Fp4::NUMBERS, block, |x| round(x, 10, -14), out),
        Format::Q6K => {
            let d = half(block, 208);
            for i in 0..256 {
                // Two halves of 128 values; in each, 64 bytes of low nibbles and 32 bytes of high pairs of bits.
                let (part, at) = (i / 128, i % 128);
                let low = block[part * 64 + at % 64] >> (4 * (at / 64)) & 15;
                let high = block[128 + part * 32 + at % 32] >> (2 * (at / 32)) & 3;
                let scale = block[192 + i / 16] as i8;
                out[i] = d * scale as f32 * ((low | high << 4) as f32 - 32.0);
            }
        }
    }
}

/// The nearest multiple of the last bit that a type of `mantissa` bits has, from exponent `least` on; ties to even.
fn round(value: f32, mantissa: i32, least: i32) -> f32 {
    let exponent = ((value.to_bits() >> 23 & 255) as i32 - 127).max(least);
    let unit = 2f64.powi(exponent - mantissa);
    ((value as f64 / unit).round_ties_even() * unit) as f32
}

/// A block of bitsandbytes: of two values the first in the high half of a byte.
fn four_bit(code: [f32; 16], block: &[u8], round: impl Fn(f32) -> f32, out: &mut [f32]) {
    let absmax = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for (i, out) in out.iter_mut().enumerate() {
        let index = block[4 + i / 2] >> (4 - i % 2 * 4) & 15;
        *out = round(code[index as usize] * absmax);
    }
}

/// `[rows, cols]` floats of a row-major weight.
pub fn weights(format: Format, src: &[u8], cols: usize) -> Vec<f32> {
    let (values, bytes) = format.block();
    let mut out = vec![0.0; src.len() / format.row_bytes(cols) * cols];
    for (block, out) in src.chunks_exact(bytes).zip(out.chunks_exact_mut(values)) {
        dequantize(format, block, out);
    }
    out
}

/// Activations after a round trip through int8: blocks of 32 with a scale of `max |x| / 127`.
pub fn int8(x: &[f32]) -> Vec<f32> {
    let block = |block: &[f32]| {
        let peak = block.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        let (scale, inverse) = (peak / 127.0, if peak > 0.0 { 127.0 / peak } else { 0.0 });
        block
            .iter()
            .map(|x| (x * inverse).round_ties_even() * scale)
            .collect::<Vec<f32>>()
    };
    x.chunks(32).flat_map(block).collect()
}

/// `x [rows, cols] * weight^T`, and for each output the sum of magnitudes, by which errors are judged.
pub fn matmul(x: &[f32], weight: &[f32], cols: usize) -> Vec<(f64, f64)> {
    let dot = |x: &[f32], w: &[f32]| {
        let products = || x.iter().zip(w).map(|(&x, &w)| x as f64 * w as f64);
        (products().sum(), products().map(f64::abs).sum())
    };
    let row = |x| weight.chunks(cols).map(move |w| dot(x, w));
    x.chunks(cols).flat_map(row).collect()
}
