//! Bfloat16 weights, in pairs of columns: a 32-bit lane holds two neighbours of one row, and each is a float after a shift or a mask.
//!
//! ```text
//! k 0,1: r0 (k0 low, k1 high) r1 .. r15
//! k 2,3: r0 ..
//! ```

use super::float::{direct, Direct, Packed};
use super::vector::Vector;
use super::GROUP;

pub struct Bf16;

impl Packed for Bf16 {
    fn group_bytes(cols: usize) -> usize {
        cols.div_ceil(2) * GROUP * 4
    }

    #[inline(never)]
    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
        // SAFETY: row `row`, column `k` are inside the source; the group takes `[cols / 2][GROUP]` words.
        unsafe {
            let value = |row: usize, k: usize| -> u32 {
                if row < rows && k < cols {
                    (src as *const u16).add(row * cols + k).read_unaligned() as u32
                } else {
                    0
                }
            };
            for pair in 0..cols.div_ceil(2) {
                for row in 0..GROUP {
                    let word = value(row, 2 * pair) | value(row, 2 * pair + 1) << 16;
                    (to as *mut u32)
                        .add(pair * GROUP + row)
                        .write_unaligned(word);
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
        let mask = Self::mask::<V>();
        // SAFETY: pairs from `first / 2` on are inside the group; the scratch takes an even number of columns.
        unsafe {
            for i in 0..count.div_ceil(2) * 4 {
                let columns = Self::load::<V>(group.add((first / 2 * 4 + i) * Self::BYTES), mask);
                let to = scratch.add(i / 4 * 2 * GROUP + i % 4 * 4);
                columns[0].store(to as *mut u8);
                columns[1].store(to.add(GROUP) as *mut u8);
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
        _strip: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe { direct::<V, Self, 2>(group, x, rows, cols, sums) }
    }
}

impl Direct for Bf16 {
    const COLUMNS: usize = 2;
    const BYTES: usize = 16;
    const SCALE: f32 = 1.0;

    fn mask<V: Vector>() -> V {
        V::splat_i32(0xffff_0000_u32 as i32).opaque()
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const u8, mask: V) -> [V; 2] {
        // SAFETY: the caller's promise.
        let pair = unsafe { V::load(from) };
        [pair.shl_i32::<16>(), pair.and(mask)]
    }
}
