//! Float32 arithmetic: weights as floats, lane = output row, times rows of activations.
//!
//! Float formats are decoded as they are multiplied where there are few rows; otherwise, and for quantized formats always, a chunk of a
//! group is dequantized into a strip of `[CHUNK][GROUP]` floats first, which is a group of float32 weights.
//!
//! ```text
//! strip            x                     sums
//! k0: r0 .. r15    t0: k0 k1 k2 ..       t0: r0 .. r15
//! k1: r0 .. r15    t1: k0 k1 k2 ..       t1: r0 .. r15
//! ```
//!
//! Each sum is one chain of multiply-adds in the order of k, whatever the tile: that is what makes results batch-invariant.

use super::f32::F32;
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
    /// `group` is packed, the columns are inside, `scratch` takes `[count][GROUP]` floats, `count` rounded up to an even number.
    unsafe fn floats<V: Vector>(
        group: *const u8,
        first: usize,
        count: usize,
        scratch: *mut f32,
    ) -> *const f32;

    /// Sums of `rows` activation rows with one group, into `sums[rows][GROUP]`.
    ///
    /// # Safety
    /// `group` is packed, `x` is `[rows, cols]`, `rows` at most a panel, `strip` takes `[CHUNK][GROUP]` floats and, behind them, four for each sum.
    unsafe fn multiply<V: Vector>(
        group: *const u8,
        x: *const f32,
        rows: usize,
        cols: usize,
        sums: *mut f32,
        strip: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe { stripped::<V, Self>(group, x, rows, cols, sums, strip) }
    }
}

/// A format that a few instructions turn into floats.
pub trait Direct: Packed {
    /// Columns that are loaded together: 1 or 2.
    const COLUMNS: usize;
    /// Bytes of four rows of them.
    const BYTES: usize;
    /// Loaded weights are `SCALE^-2` times their value: activations are multiplied with it, and so are sums.
    const SCALE: f32;

    /// The constant that [`Direct::load`] needs.
    fn mask<V: Vector>() -> V;

    /// The columns of four rows.
    ///
    /// # Safety
    /// `from` is readable for `BYTES` bytes.
    unsafe fn load<V: Vector>(from: *const u8, mask: V) -> [V; 2];
}

/// [`Packed::multiply`] by way of a strip.
///
/// # Safety
/// As there.
pub unsafe fn stripped<V: Vector, W: Packed + ?Sized>(
    group: *const u8,
    x: *const f32,
    rows: usize,
    cols: usize,
    sums: *mut f32,
    strip: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        core::slice::from_raw_parts_mut(sums, rows * GROUP).fill(0.0);
        for first in (0..cols).step_by(CHUNK) {
            let count = CHUNK.min(cols - first);
            let strip = W::floats::<V>(group, first, count, strip) as *const u8;
            tiles::<V, F32, 4>(strip, x.add(first), rows, cols, count, sums);
        }
    }
}

/// [`Packed::multiply`] of a format that needs no strip: as good where rows are few, or decoding is cheap.
///
/// # Safety
/// As there.
pub unsafe fn direct<V: Vector, W: Direct, const T: usize>(
    group: *const u8,
    x: *const f32,
    rows: usize,
    cols: usize,
    sums: *mut f32,
) {
    let chunk = if rows > T { CHUNK } else { cols };
    // SAFETY: the caller's promise.
    unsafe {
        let all = core::slice::from_raw_parts_mut(sums, rows * GROUP);
        all.fill(0.0);
        for first in (0..cols).step_by(chunk) {
            let group = group.add(first / W::COLUMNS * 4 * W::BYTES);
            let count = chunk.min(cols - first);
            tiles::<V, W, T>(group, x.add(first), rows, cols, count, sums);
        }
        if W::SCALE != 1.0 {
            all.iter_mut().for_each(|sum| *sum *= W::SCALE);
        }
    }
}

/// Adds `count` columns to the sums of `rows` activation rows that are `cols` floats apart, T at a time (2 or 4).
#[inline(always)]
unsafe fn tiles<V: Vector, W: Direct, const T: usize>(
    weights: *const u8,
    x: *const f32,
    rows: usize,
    cols: usize,
    count: usize,
    sums: *mut f32,
) {
    for row in (0..rows).step_by(T) {
        // Sums and weights of a tile must fit 16 registers.
        // SAFETY: the caller's promise.
        unsafe {
            let (x, sums) = (x.add(row * cols), sums.add(row * GROUP));
            match T.min(rows - row) {
                1 => tile::<V, W, 1, 4>(weights, x, cols, count, sums),
                2 => tile::<V, W, 2, 4>(weights, x, cols, count, sums),
                3 => tile::<V, W, 3, 2>(weights, x, cols, count, sums),
                _ => tile::<V, W, 4, 2>(weights, x, cols, count, sums),
            }
        }
    }
}

/// Adds `count` columns to the sums of T activation rows, R vectors of weight rows at a time.
#[inline(always)]
unsafe fn tile<V: Vector, W: Direct, const T: usize, const R: usize>(
    weights: *const u8,
    x: *const f32,
    cols: usize,
    count: usize,
    sums: *mut f32,
) {
    let mask = W::mask::<V>();
    let scale = V::splat_f32(W::SCALE).opaque();
    // SAFETY: the caller gives T rows of x and of sums, and `count` columns of weights.
    unsafe {
        for at in (0..GROUP / 4).step_by(R) {
            let place = |t: usize, r: usize| sums.add(t * GROUP + 4 * (at + r)) as *mut u8;
            let mut acc: [[V; R]; T] =
                core::array::from_fn(|t| core::array::from_fn(|r| V::load(place(t, r))));
            let mut rows: [*const u8; T] = core::array::from_fn(|t| x.add(t * cols) as *const u8);
            let mut w = weights.add(at * W::BYTES);
            let mut multiply = |columns: usize| {
                let activation = |t: usize, c: usize| {
                    let value = V::load_splat(rows[t].add(4 * c));
                    if W::SCALE == 1.0 {
                        value
                    } else {
                        value.mul_f32(scale)
                    }
                };
                // Whichever is fewer waits in registers.
                if T <= R {
                    let x: [[V; 2]; T] = core::array::from_fn(|t| {
                        core::array::from_fn(|c| activation(t, c.min(columns - 1)))
                    });
                    for r in 0..R {
                        let weights = W::load::<V>(w.add(r * W::BYTES), mask);
                        for t in 0..T {
                            for c in 0..columns {
                                acc[t][r] = x[t][c].madd(weights[c], acc[t][r]);
                            }
                        }
                    }
                } else {
                    let weights: [[V; 2]; R] =
                        core::array::from_fn(|r| W::load::<V>(w.add(r * W::BYTES), mask));
                    for t in 0..T {
                        for c in 0..columns {
                            let x = activation(t, c);
                            for r in 0..R {
                                acc[t][r] = x.madd(weights[r][c], acc[t][r]);
                            }
                        }
                    }
                }
                rows = rows.map(|row| row.add(4 * columns));
                w = w.add(GROUP / 4 * W::BYTES);
            };
            let mut k = 0;
            while k + W::COLUMNS <= count {
                multiply(W::COLUMNS);
                k += W::COLUMNS;
            }
            if k < count {
                multiply(1);
            }
            for t in 0..T {
                for r in 0..R {
                    acc[t][r].store(place(t, r));
                }
            }
        }
    }
}
