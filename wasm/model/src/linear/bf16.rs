//! Bfloat16 weights, in pairs of columns: a 32-bit lane holds two neighbours of one row, and each is a float after a shift or a mask.
//!
//! ```text
//! k 0,1: r0 (k0 low, k1 high) r1 .. r15
//! k 2,3: r0 ..
//! ```

use super::float::Packed;
use super::vector::Vector;
use super::GROUP;

pub struct Bf16;

impl Packed for Bf16 {
    fn group_bytes(cols: usize) -> usize {
        cols.div_ceil(2) * GROUP * 4
    }

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
        _cols: usize,
        first: usize,
        count: usize,
        scratch: *mut f32,
    ) -> *const f32 {
        let high = V::splat_i32(0xffff_0000_u32 as i32).opaque();
        // SAFETY: pairs `first / 2 ..` are inside the group; an odd last column has a pair of its own, of which the first half is taken.
        unsafe {
            for k in 0..count {
                let from = group.add((first + k) / 2 * GROUP * 4);
                let to = scratch.add(k * GROUP) as *mut u8;
                for at in (0..GROUP * 4).step_by(16) {
                    let pair = V::load(from.add(at));
                    let value = if k % 2 == 0 {
                        pair.shl_i32::<16>()
                    } else {
                        pair.and(high)
                    };
                    value.store(to.add(at));
                }
            }
        }
        scratch
    }

    unsafe fn matvec<V: Vector>(
        group: *const u8,
        x: *const f32,
        cols: usize,
        sums: *mut f32,
        _strip: *mut f32,
    ) {
        let high = V::splat_i32(0xffff_0000_u32 as i32).opaque();
        let mut acc = [V::splat_f32(0.0); 4];
        // SAFETY: the caller gives `cols` floats and a whole group.
        unsafe {
            let (mut w, mut x) = (group, x as *const u8);
            let end = x.add(cols / 2 * 8);
            while x < end {
                let (even, odd) = (V::load_splat(x), V::load_splat(x.add(4)));
                for r in 0..4 {
                    let pair = V::load(w.add(16 * r));
                    acc[r] = even.madd(pair.shl_i32::<16>(), acc[r]);
                    acc[r] = odd.madd(pair.and(high), acc[r]);
                }
                x = x.add(8);
                w = w.add(64);
            }
            if cols % 2 == 1 {
                let even = V::load_splat(x);
                for r in 0..4 {
                    acc[r] = even.madd(V::load(w.add(16 * r)).shl_i32::<16>(), acc[r]);
                }
            }
            for r in 0..4 {
                acc[r].store(sums.add(4 * r) as *mut u8);
            }
        }
    }
}
