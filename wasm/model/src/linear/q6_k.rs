//! Q6_K: super-blocks of 16 times 16 columns; `weight = (d * scale) * (quant - 32)`, `scale` int8, quants of 6 bits.
//!
//! ```text
//! packed super-block: d [16 rows], f32 of 2^-112 times the value
//!                     8 blocks: scale i8 of columns 0..16 [16 rows] | of columns 16..32 [16 rows] | 512 bytes of quants
//! ```

use super::bytes::{Bytes, Scales, PACKED_BLOCK, RUN, SCALES};
use super::nibbles::word;
use super::vector::Vector;

pub struct Q6K;

impl Bytes for Q6K {
    const SOURCE: usize = 210;
    const HEADER: usize = 64;
    const OFFSET: bool = true;

    unsafe fn pack(src: *const u8, row: usize, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            let d = (src.add(208) as *const i16).read_unaligned() as i32 as u32;
            (to.add(4 * row) as *mut u32).write_unaligned(d << 13 & 0x8fff_e000);
            for b in 0..RUN {
                let to = to.add(Self::HEADER + b * PACKED_BLOCK);
                *to.add(row) = *src.add(192 + 2 * b);
                *to.add(16 + row) = *src.add(192 + 2 * b + 1);
                // Blocks 0..4 share 64 bytes of low nibbles and 32 of high pairs of bits, and so do blocks 4..8.
                let (part, sub) = (b / 4, b % 4);
                let low = src.add(part * 64 + sub % 2 * 32);
                let high = src.add(128 + part * 32);
                for j in 0..8 {
                    let low = word(low.add(4 * j)) >> (4 * (sub / 2)) & 0x0f0f_0f0f;
                    let high = word(high.add(4 * j)) >> (2 * sub) & 0x0303_0303;
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
            let d: [V; 4] = core::array::from_fn(|r| V::load(header.add(16 * r)));
            let halves = [V::load(block), V::load(block.add(16))];
            let integers = halves.map(|half| [half.widen_i8::<false>(), half.widen_i8::<true>()]);
            Scales {
                d,
                integers,
                mins: [V::splat_f32(0.0); 4],
            }
        }
    }
}
