//! Float32 arithmetic: every format, dequantized into a strip of `[cols][GROUP]` floats (lane = output row), times rows of activations.
//!
//! ```text
//! strip            x                     sums
//! k0: r0 .. r15    t0: k0 k1 k2 ..       t0: r0 .. r15
//! k1: r0 .. r15    t1: k0 k1 k2 ..       t1: r0 .. r15
//! ```
//!
//! Each sum is one chain of multiply-adds in the order of k, whatever the tile: that is what makes results batch-invariant.

use super::vector::Vector;
use super::GROUP;

/// Columns dequantized at a time: the strip stays in the first-level cache.
pub const CHUNK: usize = 256;

/// How a format lies in memory, packed.
pub trait Packed {
    /// Bytes of one group of `GROUP` rows.
    fn group_bytes(cols: usize) -> usize;

    /// Packs `rows` (at most `GROUP`) row-major rows at `src` as one group; the missing rows become zeros.
    ///
    /// # Safety
    /// `src` holds the rows, `to` takes `group_bytes(cols)` bytes.
    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8);

    /// The exact floats of `count` columns from `first` (a multiple of 32) on, at `scratch` or wherever they already are.
    ///
    /// # Safety
    /// `group` is packed, the columns are inside, `scratch` takes `[count][GROUP]` floats.
    unsafe fn floats<V: Vector>(
        group: *const u8,
        cols: usize,
        first: usize,
        count: usize,
        scratch: *mut f32,
    ) -> *const f32;

    /// Sums of one activation row with one group, into `sums[GROUP]`.
    ///
    /// # Safety
    /// `group` is packed, `x` holds `cols` floats, `strip` takes `[CHUNK][GROUP]` floats.
    unsafe fn matvec<V: Vector>(
        group: *const u8,
        x: *const f32,
        cols: usize,
        sums: *mut f32,
        strip: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe { matmul::<V, Self>(group, x, 1, cols, sums, strip) }
    }
}

/// Sums of `rows` activation rows with one group, into `sums[rows][GROUP]`.
///
/// # Safety
/// `group` is packed, `x` is `[rows, cols]`, `strip` takes `[CHUNK][GROUP]` floats.
pub unsafe fn matmul<V: Vector, W: Packed + ?Sized>(
    group: *const u8,
    x: *const f32,
    rows: usize,
    cols: usize,
    sums: *mut f32,
    strip: *mut f32,
) {
    // SAFETY: every tile stays inside the shapes that the caller promised.
    unsafe {
        core::slice::from_raw_parts_mut(sums, rows * GROUP).fill(0.0);
        for first in (0..cols).step_by(CHUNK) {
            let count = CHUNK.min(cols - first);
            let strip = W::floats::<V>(group, cols, first, count, strip);
            let mut row = 0;
            while row < rows {
                let (x, sums) = (x.add(row * cols + first), sums.add(row * GROUP));
                match rows - row {
                    1 => tile::<V, 1, 4>(strip, x, cols, count, sums),
                    2 => tile::<V, 2, 4>(strip, x, cols, count, sums),
                    3 => tile::<V, 3, 2>(strip, x, cols, count, sums),
                    _ => tile::<V, 4, 2>(strip, x, cols, count, sums),
                }
                row += 4;
            }
        }
    }
}

/// Adds `count` columns to the sums of T activation rows, R vectors of weight rows at a time.
#[inline(always)]
unsafe fn tile<V: Vector, const T: usize, const R: usize>(
    strip: *const f32,
    x: *const f32,
    cols: usize,
    count: usize,
    sums: *mut f32,
) {
    let mut at = 0;
    while at < GROUP {
        // SAFETY: the caller gives T rows of x and of sums, and `count` rows of the strip.
        unsafe {
            let place = |t: usize, r: usize| sums.add(t * GROUP + at + 4 * r) as *mut u8;
            let mut acc: [[V; R]; T] =
                core::array::from_fn(|t| core::array::from_fn(|r| V::load(place(t, r))));
            let mut rows: [*const f32; T] = core::array::from_fn(|t| x.add(t * cols));
            let mut w = strip.add(at);
            let end = w.add(count * GROUP);
            while w < end {
                let weights: [V; R] = core::array::from_fn(|r| V::load(w.add(4 * r) as *const u8));
                for t in 0..T {
                    let value = V::load_splat(rows[t] as *const u8);
                    rows[t] = rows[t].add(1);
                    for r in 0..R {
                        acc[t][r] = value.madd(weights[r], acc[t][r]);
                    }
                }
                w = w.add(GROUP);
            }
            for t in 0..T {
                for r in 0..R {
                    acc[t][r].store(place(t, r));
                }
            }
        }
        at += 4 * R;
    }
}
