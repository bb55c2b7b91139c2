//! Half-precision weights: `[cols][GROUP]` halves.
//!
//! Shift and mask give `2^-112` times the value ([`half`]). Decoded as they are multiplied, that factor stays out of each
//! weight: activations are scaled by `2^56` and sums by `2^56`, both exact, and small enough that nothing over- or underflows on the way.

use super::float::{direct, stripped, Direct, Packed};
use super::image::{half, half_mask, HALF, SUM};
use super::vector::Vector;
use super::GROUP;

pub struct F16;

impl Packed for F16 {
    fn group_bytes(cols: usize) -> usize {
        cols * GROUP * 2
    }

    #[inline(never)]
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

    #[inline(never)]
    unsafe fn multiply<V: Vector>(
        group: *const u8,
        x: *const f32,
        rows: usize,
        cols: usize,
        sums: *mut f32,
        strip: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if rows <= 4 {
                direct::<V, Self, 4>(group, x, rows, cols, sums)
            } else {
                stripped::<V, Self>(group, x, rows, cols, sums, strip)
            }
        }
    }
}

impl Direct for F16 {
    const COLUMNS: usize = 1;
    const BYTES: usize = 8;
    const SCALE: f32 = SUM;

    fn mask<V: Vector>() -> V {
        half_mask()
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const u8, mask: V) -> [V; 2] {
        // SAFETY: the caller's promise.
        [half(unsafe { V::load_i16(from) }, mask); 2]
    }
}
