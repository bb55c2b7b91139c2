//! Half-precision weights: `[cols][GROUP]` halves.
//!
//! Shift and mask give `2^-112` times the value ([`half`]). The matvec keeps that factor out of each weight: it scales the activations by
//! `2^56` and the sums by `2^56`, both exact, and small enough that nothing over- or underflows on the way.

use super::float::Packed;
use super::image::{half, half_mask, HALF};
use super::vector::Vector;
use super::GROUP;

pub struct F16;

impl Packed for F16 {
    fn group_bytes(cols: usize) -> usize {
        cols * GROUP * 2
    }

    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
        // SAFETY: row `row`, column `k` are inside the source; the group takes `[cols][GROUP]` halves.
        unsafe {
            let (src, to) = (src as *const u16, to as *mut u16);
            for k in 0..cols {
                for row in 0..GROUP {
                    let word = if row < rows {
                        src.add(row * cols + k).read_unaligned()
                    } else {
                        0
                    };
                    to.add(k * GROUP + row).write_unaligned(word);
                }
            }
        }
    }

    unsafe fn floats<V: Vector>(
        group: *const u8,
        _cols: usize,
        first: usize,
        count: usize,
        scratch: *mut f32,
    ) -> *const f32 {
        let (mask, scale) = (half_mask::<V>(), V::splat_f32(HALF).opaque());
        // SAFETY: the columns are inside the group, and the scratch takes as many.
        unsafe {
            let from = group.add(first * GROUP * 2);
            for i in 0..count * GROUP / 4 {
                let value = half(V::load_i16(from.add(8 * i)), mask).mul_f32(scale);
                value.store(scratch.add(4 * i) as *mut u8);
            }
        }
        scratch
    }
}
