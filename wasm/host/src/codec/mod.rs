//! Storage conversion: every type to f32 and to the formats that backends multiply with.

mod bitsandbytes;
pub mod block;
pub mod exports;
mod four_bit;
mod grid_quants;
mod grids;
pub mod half;
mod k_quants;
mod legacy;
pub mod non_finite;
mod quantize;
pub mod storage;
mod ternary;

use crate::vector::Native;
use block::{dequantize, Block};
use half::{f32_to_bf16, f32_to_f16};
use quantize::{FromBf16, FromF16, FromF32, Source};
use storage::StorageType::{self, *};

/// Converts whole blocks. `out` has room for as many values as `bytes` holds; that number is a multiple of both block sizes.
///
/// Floating-point formats get the nearest value, quantized ones GGML's reference rounding or that of bitsandbytes. Where a quantized format can take the whole numbers
/// of another as they are ([`reencodes`]), it does.
///
/// Returns false when the format has no quantizer; `out` is then as it was.
#[must_use]
pub fn convert(from: StorageType, to: StorageType, bytes: &[u8], out: &mut [u8]) -> bool {
    if from == to {
        out.copy_from_slice(bytes);
    } else if reencodes(from, to) {
        reencode(from, to, bytes, out);
    } else {
        match from {
            F32 => return encode::<FromF32>(to, bytes, out),
            F16 => return encode::<FromF16>(to, bytes, out),
            Bf16 => return encode::<FromBf16>(to, bytes, out),
            _ => {
                // Blocks of either type divide 256; the last chunk may have fewer values.
                let (mut values, mut plain) = ([0f32; 256], [0u8; 1024]);
                let (chunk, out_chunk) = (
                    256 / from.block_values() * from.block_bytes(),
                    256 / to.block_values() * to.block_bytes(),
                );
                for (bytes, out) in bytes.chunks(chunk).zip(out.chunks_mut(out_chunk)) {
                    let count = bytes.len() / from.block_bytes() * from.block_values();
                    dequantize(from, bytes, &mut values[..count]);
                    plain
                        .chunks_exact_mut(4)
                        .zip(values)
                        .for_each(|(out, value)| out.copy_from_slice(&value.to_le_bytes()));
                    if !encode::<FromF32>(to, &plain[..4 * count], out) {
                        return false;
                    }
                }
            }
        }
    }
    true
}

/// Whether `to` can hold the whole numbers of `from`. The scales stay, or are rounded to f16 where a block of `from` has factors as well.
pub fn reencodes(from: StorageType, to: StorageType) -> bool {
    match to {
        Q8_0 => matches!(
            from,
            Q4_0 | Q5_0 | Iq4Nl | Iq4Xs | Iq2Xxs | Iq3Xxs | Iq3S | Iq1S | Tq1_0 | Tq2_0 | Mxfp4
        ),
        Q6K => matches!(from, Q3K | Iq3Xxs | Iq3S | Iq1S | Iq1M),
        Q4_0 => matches!(from, Tq1_0 | Tq2_0),
        Q4_1 => from == Q4K,
        _ => false,
    }
}

fn reencode(from: StorageType, to: StorageType, bytes: &[u8], out: &mut [u8]) {
    let (mut block, count) = (Block::EMPTY, from.block_values());
    let out = out.chunks_exact_mut(count / to.block_values() * to.block_bytes());
    for (bytes, out) in bytes.chunks_exact(from.block_bytes()).zip(out) {
        block.decode(from, bytes);
        match to {
            Q8_0 => block.to_q8_0(count, out),
            Q4_0 => block.to_q4_0(count, out),
            Q4_1 => block.to_q4_1(count, out),
            _ => block.to_q6_k(out),
        }
    }
}

/// Plain numbers to a format.
fn encode<S: Source>(to: StorageType, bytes: &[u8], out: &mut [u8]) -> bool {
    match to {
        F32 => each::<S, 4>(bytes, out, f32::to_le_bytes),
        F16 => each::<S, 2>(bytes, out, |value| f32_to_f16(value).to_le_bytes()),
        Bf16 => each::<S, 2>(bytes, out, |value| f32_to_bf16(value).to_le_bytes()),
        Q8_0 => quantize::q8_0::<Native, S>(bytes, out),
        Q4_0 => quantize::q4_0::<Native, S>(bytes, out),
        Q4_1 => quantize::q4_1::<Native, S>(bytes, out),
        _ if to.is_four_bit() => bitsandbytes::quantize::<Native, S>(to, bytes, out),
        _ => return false,
    }
    true
}

#[inline(always)]
fn each<S: Source, const N: usize>(bytes: &[u8], out: &mut [u8], f: impl Fn(f32) -> [u8; N]) {
    for (bytes, out) in bytes.chunks_exact(S::BYTES).zip(out.chunks_exact_mut(N)) {
        out.copy_from_slice(&f(S::value(bytes)));
    }
}
