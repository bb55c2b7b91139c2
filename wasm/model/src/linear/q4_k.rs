//! Q4_K: super-blocks of 8 blocks; `weight = (d * scale) * nibble - (dmin * min)`, `d`, `dmin` half-precision, `scale`, `min` of 6 bits.
//!
//! ```text
//! packed super-block: d [16 rows], -dmin [16 rows], f32 of 2^-112 times the value
//!                     8 blocks: scale u8 [16 rows] | min u8 [16 rows] | 256 bytes of nibbles
//! ```
//!
//! Both products are exact in float32. The file pairs nibbles of neighbouring blocks in a byte; packing pairs those of one block.

use super::format::scale_min;
use super::nibbles::{word, write_nibbles, Nibbles, QUANTS};
use super::vector::Vector;

pub struct Q4K;

impl Nibbles for Q4K {
    const RUN: usize = 8;
    const SOURCE: usize = 144;
    const HEADER: usize = 128;
    const SCALES: usize = 32;
    const OFFSET: bool = false;
    const MINS: bool = true;

    unsafe fn pack(src: *const u8, row: usize, run: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            write_header(src, row, run);
            let scales = core::slice::from_raw_parts(src.add(4), 12);
            for b in 0..8 {
                let to = run.add(Self::HEADER + b * (Self::SCALES + QUANTS));
                let (scale, min) = scale_min(scales, b);
                *to.add(row) = scale;
                *to.add(16 + row) = min;
                let from = src.add(16 + b / 2 * 32);
                let nibbles = |j: usize| word(from.add(4 * j)) >> (4 * (b % 2)) & 0x0f0f_0f0f;
                let words = core::array::from_fn(|j| nibbles(j) | nibbles(j + 4) << 4);
                write_nibbles(words, row, to.add(Self::SCALES));
            }
        }
    }

    #[inline(always)]
    unsafe fn scales<V: Vector>(header: *const u8, block: *const u8, _mask: V) -> ([V; 4], [V; 4]) {
        // SAFETY: the caller's promise.
        unsafe {
            (
                times_u8(header, block),
                times_u8(header.add(64), block.add(16)),
            )
        }
    }
}

/// Writes `d` and `-dmin` of row `row`, the first two halves of a super-block, as f32 of `2^-112` times their value.
///
/// # Safety
/// `src` holds the two halves, `header` takes 128 bytes, `row < GROUP`.
pub unsafe fn write_header(src: *const u8, row: usize, header: *mut u8) {
    for i in 0..2 {
        // SAFETY: the caller's promise.
        unsafe {
            let half = (src.add(2 * i) as *const i16).read_unaligned() as i32 as u32;
            let bits = half << 13 & 0x8fff_e000 ^ (i as u32) << 31;
            (header.add(64 * i + 4 * row) as *mut u32).write_unaligned(bits);
        }
    }
}

/// 16 floats, each times its byte.
///
/// # Safety
/// `floats` holds 16 floats and `bytes` 16 bytes.
#[inline(always)]
pub unsafe fn times_u8<V: Vector>(floats: *const u8, bytes: *const u8) -> [V; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = V::load(bytes);
        let (low, high) = (bytes.widen_u8::<false>(), bytes.widen_u8::<true>());
        let wide = [
            low.widen_i16::<false>(),
            low.widen_i16::<true>(),
            high.widen_i16::<false>(),
            high.widen_i16::<true>(),
        ];
        core::array::from_fn(|r| wide[r].to_f32().mul_f32(V::load(floats.add(16 * r))))
    }
}
