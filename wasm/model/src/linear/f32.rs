//! Float32 weights. A group is its own strip: `[cols][GROUP]` floats.

use super::float::Packed;
use super::vector::Vector;
use super::GROUP;

pub struct F32;

impl Packed for F32 {
    fn group_bytes(cols: usize) -> usize {
        cols * GROUP * 4
    }

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
        _cols: usize,
        first: usize,
        _count: usize,
        _scratch: *mut f32,
    ) -> *const f32 {
        // SAFETY: column `first` is inside the group.
        unsafe { (group as *const f32).add(first * GROUP) }
    }
}
