//! Q4_0: 32 nibbles behind a half-precision scale, `weight = scale * (nibble - 8)`.
//!
//! ```text
//! packed block: scale f16 [16 rows] | 256 bytes of nibbles (the bytes of the file: ggml splits nibbles the same way)
//! ```

use super::image::half;
use super::nibbles::{word, write_nibbles, Nibbles};
use super::vector::Vector;

pub struct Q4_0;

impl Nibbles for Q4_0 {
    const RUN: usize = 1;
    const SOURCE: usize = 18;
    const HEADER: usize = 0;
    const SCALES: usize = 32;
    const OFFSET: bool = true;
    const MINS: bool = false;

    unsafe fn pack(src: *const u8, row: usize, run: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            core::ptr::copy_nonoverlapping(src, run.add(2 * row), 2);
            let words = core::array::from_fn(|j| word(src.add(2 + 4 * j)));
            write_nibbles(words, row, run.add(Self::SCALES));
        }
    }

    #[inline(always)]
    unsafe fn scales<V: Vector>(_header: *const u8, block: *const u8, mask: V) -> ([V; 4], [V; 4]) {
        // SAFETY: the caller's promise.
        let scales = core::array::from_fn(|r| unsafe { half(V::load_i16(block.add(8 * r)), mask) });
        (scales, [V::splat_f32(0.0); 4])
    }
}
