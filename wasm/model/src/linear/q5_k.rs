//! Q5_K: super-blocks of 8 blocks; `weight = (d * scale) * quant - (dmin * min)`, quants of 5 bits, otherwise as Q4_K.
//!
//! ```text
//! packed super-block: d [16 rows], -dmin [16 rows], f32 of 2^-112 times the value
//!                     8 blocks: scale u8 [16 rows] | min u8 [16 rows] | 512 bytes of quants
//! ```

use super::bytes::{Bytes, Scales, PACKED_BLOCK, RUN, SCALES};
use super::format::scale_min;
use super::nibbles::word;
use super::q4_k::{times_u8, write_header};
use super::vector::Vector;

pub struct Q5K;

impl Bytes for Q5K {
    const SOURCE: usize = 176;
    const HEADER: usize = 128;
    const OFFSET: bool = false;

    unsafe fn pack(src: *const u8, row: usize, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            write_header(src, row, to);
            let scales = core::slice::from_raw_parts(src.add(4), 12);
            for b in 0..RUN {
                let to = to.add(Self::HEADER + b * PACKED_BLOCK);
                let (scale, min) = scale_min(scales, b);
                *to.add(row) = scale;
                *to.add(16 + row) = min;
                for j in 0..8 {
                    let low = word(src.add(48 + b / 2 * 32 + 4 * j)) >> (4 * (b % 2)) & 0x0f0f_0f0f;
                    let high = word(src.add(16 + 4 * j)) >> b & 0x0101_0101;
                    (to.add(SCALES + j * 64 + row * 4) as *mut u32)
                        .write_unaligned(low | high << 4);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn scales<V: Vector>(header: *const u8, block: *const u8) -> Scales<V> {
        // SAFETY: the caller's promise.
        unsafe {
            let scale = V::load(block);
            let integers = [scale.widen_u8::<false>(), scale.widen_u8::<true>()];
            Scales {
                d: core::array::from_fn(|r| V::load(header.add(16 * r))),
                integers: [integers; 2],
                mins: times_u8(header.add(64), block.add(16)),
            }
        }
    }
}
