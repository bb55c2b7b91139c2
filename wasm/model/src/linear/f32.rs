//! Float32 weights. A group is its own strip: `[cols][GROUP]` floats.

use super::float::{direct, Direct, Packed};
use super::vector::Vector;
use super::GROUP;

pub struct F32;

impl Packed for F32 {
    fn group_bytes(cols: usize) -> usize {
        cols * GROUP * 4
    }

    #[inline(never)]
    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
        // SAFETY: row `row`, column `k` are inside the source; the group takes `[cols][GROUP]` words.
        unsafe {
            let (src, to) = (src as *const u32, to as *mut u32);
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
        _count: usize,
        _scratch: *mut f32,
    ) -> *const f32 {
        // SAFETY: column `first` is inside the group.
        unsafe { (group as *const f32).add(first * GROUP) }
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
        unsafe { direct::<V, Self, 4>(group, x, rows, cols, sums) }
    }
}

impl Direct for F32 {
    const COLUMNS: usize = 1;
    const BYTES: usize = 16;
    const SCALE: f32 = 1.0;

    fn mask<V: Vector>() -> V {
        V::splat_i32(0)
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const u8, _mask: V) -> [V; 2] {
        // SAFETY: the caller's promise.
        [unsafe { V::load(from) }; 2]
    }
}
