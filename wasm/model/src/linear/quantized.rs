//! Int8 arithmetic: a quantized weight times the int8 image of the activations, one row or many.
//!
//! One row reads the packed group directly. More rows unpack it chunk by chunk into two strips of [`HALF_GROUP`] weight rows, quants a byte
//! each, in the first-level cache, and multiply tiles of up to [`TILE`] activation rows with them. Integer sums within a block are exact, so
//! only the order of the blocks matters, and that is the same on both ways.

use super::float::Packed;
use super::image::{BLOCK, BLOCK_BYTES, TILE};
use super::vector::Vector;
use super::GROUP;

/// Weight rows of a strip.
pub const HALF_GROUP: usize = GROUP / 2;
/// Blocks unpacked at a time: a multiple of the 8 blocks of the K formats.
pub const CHUNK_BLOCKS: usize = 16;
/// Bytes of both strips, for the widest format.
pub const STRIP_BYTES: usize = CHUNK_BLOCKS * 2 * super::q8_0::STRIP_BLOCK;

/// A quantized format.
pub trait Quantized: Packed {
    /// Bytes of a block of one strip.
    const STRIP_BLOCK: usize;

    /// Sums of one row of a tile of T rows with one group, into `sums[GROUP]`.
    ///
    /// # Safety
    /// `group` is packed, `image` is the image of as many columns, from the row's first word on.
    unsafe fn matvec_int8<V: Vector, const T: usize>(
        group: *const u8,
        image: *const u8,
        cols: usize,
        sums: *mut f32,
    );

    /// Unpacks block `block` of a group into block 0 of the two strips.
    ///
    /// # Safety
    /// `group` is packed, both strips take `STRIP_BLOCK` bytes.
    unsafe fn unpack<V: Vector>(group: *const u8, block: usize, strips: [*mut u8; 2]);

    /// Adds `blocks` blocks to the sums of T activation rows with the rows of one strip; `sums` is `[T][GROUP]`, of which 8 columns are meant.
    ///
    /// # Safety
    /// `strip` holds the blocks, `image` a tile of T rows from the first of them on.
    unsafe fn tile<V: Vector, const T: usize>(
        strip: *const u8,
        image: *const u8,
        blocks: usize,
        sums: *mut f32,
    );
}

/// Sums of one tile of `width` rows with one group, into `sums[width][GROUP]`: row by row, for unpacking pays off with more rows only.
///
/// # Safety
/// `group` is packed, `image` is a tile of `width` rows (1 to 4) of `cols` columns.
pub unsafe fn few<V: Vector, W: Quantized>(
    group: *const u8,
    image: *const u8,
    width: usize,
    cols: usize,
    sums: *mut f32,
) {
    for t in 0..width {
        // SAFETY: row `t` of the tile.
        unsafe {
            let (image, sums) = (image.add(4 * t), sums.add(t * GROUP));
            match width {
                1 => W::matvec_int8::<V, 1>(group, image, cols, sums),
                2 => W::matvec_int8::<V, 2>(group, image, cols, sums),
                3 => W::matvec_int8::<V, 3>(group, image, cols, sums),
                _ => W::matvec_int8::<V, 4>(group, image, cols, sums),
            }
        }
    }
}

/// Sums of `rows` rows of the image with one group, into `sums[rows][GROUP]`.
///
/// # Safety
/// `group` is packed, `image` starts at a tile of an image of `cols` columns, `strips` takes [`STRIP_BYTES`].
pub unsafe fn matmul<V: Vector, W: Quantized>(
    group: *const u8,
    image: *const u8,
    rows: usize,
    cols: usize,
    sums: *mut f32,
    strips: *mut u8,
) {
    let blocks = cols / BLOCK;
    // SAFETY: every tile stays inside the shapes that the caller promised.
    unsafe {
        core::slice::from_raw_parts_mut(sums, rows * GROUP).fill(0.0);
        let halves = [strips, strips.add(CHUNK_BLOCKS * W::STRIP_BLOCK)];
        for first in (0..blocks).step_by(CHUNK_BLOCKS) {
            let count = CHUNK_BLOCKS.min(blocks - first);
            for b in 0..count {
                let to = halves.map(|strip| strip.add(b * W::STRIP_BLOCK));
                W::unpack::<V>(group, first + b, to);
            }
            for row in (0..rows).step_by(TILE) {
                let width = TILE.min(rows - row);
                let image = image.add((row * blocks + first * width) * BLOCK_BYTES);
                for (half, strip) in halves.into_iter().enumerate() {
                    let sums = sums.add(row * GROUP + half * HALF_GROUP);
                    match width {
                        1 => W::tile::<V, 1>(strip, image, count, sums),
                        2 => W::tile::<V, 2>(strip, image, count, sums),
                        3 => W::tile::<V, 3>(strip, image, count, sums),
                        _ => W::tile::<V, 4>(strip, image, count, sums),
                    }
                }
            }
        }
    }
}

/// Reads or writes the sums of a tile: T rows of two vectors.
#[inline(always)]
pub unsafe fn load_sums<V: Vector, const T: usize>(sums: *const f32) -> [[V; 2]; T] {
    // SAFETY: the caller gives `[T][GROUP]` floats.
    core::array::from_fn(|t| {
        core::array::from_fn(|r| unsafe { V::load(sums.add(t * GROUP + 4 * r) as *const u8) })
    })
}

/// The counterpart of [`load_sums`].
#[inline(always)]
pub unsafe fn store_sums<V: Vector, const T: usize>(acc: [[V; 2]; T], sums: *mut f32) {
    for (t, row) in acc.into_iter().enumerate() {
        for (r, sum) in row.into_iter().enumerate() {
            // SAFETY: the caller gives `[T][GROUP]` floats.
            unsafe { sum.store(sums.add(t * GROUP + 4 * r) as *mut u8) }
        }
    }
}

/// Broadcasts the word of each row of a tile, from T words. One load and shuffles beat four loads, each with its bounds check.
///
/// # Safety
/// `words` is readable for `4 * T` bytes.
#[inline(always)]
pub unsafe fn broadcast<V: Vector, const T: usize>(words: *const u8) -> [V; T] {
    // SAFETY: the caller's promise.
    unsafe {
        if T < TILE {
            return core::array::from_fn(|t| V::load_splat(words.add(4 * t)));
        }
        let four = V::load(words);
        core::array::from_fn(|t| match t {
            0 => four.lane::<0>(),
            1 => four.lane::<1>(),
            2 => four.lane::<2>(),
            _ => four.lane::<3>(),
        })
    }
}

/// Dots of T activation rows with 8 weight rows over `steps` bytes of a strip (32 bytes for 4 columns), summed in i16.
#[inline(always)]
pub unsafe fn dots<V: Vector, const T: usize>(
    quants: *const u8,
    steps: usize,
    activations: *const u8,
) -> [[V; 2]; T] {
    let mut dot = [[V::splat_i16(0); 2]; T];
    // SAFETY: the caller gives `steps` bytes of quants and as many groups of 4 columns of the image.
    unsafe {
        let (mut q, mut x) = (quants, activations);
        let end = q.add(steps);
        while q < end {
            let (w0, w1) = (V::load(q), V::load(q.add(16)));
            for (t, value) in broadcast::<V, T>(x).into_iter().enumerate() {
                dot[t][0] = dot[t][0].add_i16(value.dot_u7(w0));
                dot[t][1] = dot[t][1].add_i16(value.dot_u7(w1));
            }
            q = q.add(32);
            x = x.add(4 * T);
        }
    }
    dot
}
