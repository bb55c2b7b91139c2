//! Q4_1: 32 nibbles behind a half-precision scale and minimum, `weight = scale * nibble + min`.
//!
//! ```text
//! packed block: scale f16 [16 rows] | min f16 [16 rows] | 256 bytes of nibbles (the bytes of the file)
//! ```

use super::image::half;
use super::nibbles::{word, write_nibbles, Nibbles};
use super::vector::Vector;

pub struct Q4_1;

impl Nibbles for Q4_1 {
    const RUN: usize = 1;
    const SOURCE: usize = 20;
    const HEADER: usize = 0;
    const SCALES: usize = 64;
    const OFFSET: bool = false;
    const MINS: bool = true;

    unsafe fn pack(src: *const u8, row: usize, run: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            core::ptr::copy_nonoverlapping(src, run.add(2 * row), 2);
            core::ptr::copy_nonoverlapping(src.add(2), run.add(32 + 2 * row), 2);
            let words = core::array::from_fn(|j| word(src.add(4 + 4 * j)));
            write_nibbles(words, row, run.add(Self::SCALES));
        }
    }

    #[inline(always)]
    unsafe fn scales<V: Vector>(_header: *const u8, block: *const u8, mask: V) -> ([V; 4], [V; 4]) {
        // SAFETY: the caller's promise.
        let halves = |at: usize| {
            core::array::from_fn(|r| unsafe { half(V::load_i16(block.add(at + 8 * r)), mask) })
        };
        (halves(0), halves(32))
    }
}
