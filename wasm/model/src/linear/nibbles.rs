//! What Q4_0, Q4_1 and Q4_K share: `weight = scale * (nibble - offset) + min`, a scale and a minimum for each block of 32 columns.
//!
//! A block of a packed group (lane = output row):
//!
//! ```text
//! scales of 16 rows | (minimums of 16 rows) | j = 0..4: r0 .. r15, 4 bytes each
//!                                             byte c: column 4 j + c in its low nibble, column 16 + 4 j + c in its high nibble
//! ```
//!
//! The nibble is the unsigned operand of the 8-bit dot product and the int8 activation the signed one; eight of them summed in i16 are at
//! most `8 * 2 * 15 * 128 = 30,720`, so a block needs one widening. Offset and minimum meet the block's sum of activations: the offset as an integer, so exactly.

use super::float::Packed;
use super::image::{half_mask, BLOCK, BLOCK_BYTES, HALF};
use super::quantized::{broadcast, dots, load_sums, store_sums, Quantized};
use super::vector::{opaque, Vector};
use super::GROUP;
use core::marker::PhantomData;

/// Bytes of the nibbles of one block of a group.
pub const QUANTS: usize = 256;

/// A format of nibbles. Its blocks come in runs behind a common header.
pub trait Nibbles {
    /// Blocks in a run.
    const RUN: usize;
    /// Bytes of a run of one row as the file holds it.
    const SOURCE: usize;
    /// Bytes of the header of a packed run.
    const HEADER: usize;
    /// Bytes of scales and minimums before the nibbles of a packed block.
    const SCALES: usize;
    /// Whether nibbles are offset by 8.
    const OFFSET: bool;
    /// Whether blocks have minimums.
    const MINS: bool;
    /// Bytes of a packed run.
    const RUN_BYTES: usize = Self::HEADER + Self::RUN * (Self::SCALES + QUANTS);

    /// Packs a run of one row.
    ///
    /// # Safety
    /// `src` holds `SOURCE` bytes, `run` takes `RUN_BYTES`, and `row < GROUP`.
    unsafe fn pack(src: *const u8, row: usize, run: *mut u8);

    /// Scales of the 16 rows of a block, and minimums if there are any; `2^-112` times their value.
    ///
    /// # Safety
    /// `header` and `block` lie in a packed group.
    unsafe fn scales<V: Vector>(header: *const u8, block: *const u8, mask: V) -> ([V; 4], [V; 4]);
}

/// Kernels of a format of nibbles.
pub struct Nibble<F>(PhantomData<F>);

impl<F: Nibbles> Nibble<F> {
    const STRIP_SCALES: usize = if F::MINS { 64 } else { 32 };

    /// The dot products of a block in i32, after the offset; `minus` is minus the sum of the block's activations.
    #[inline(always)]
    fn whole<V: Vector>(dot: V, ones: V, minus: V) -> V {
        let whole = dot.dot_i16(ones);
        if F::OFFSET {
            whole.add_i32(minus.shl_i32::<3>())
        } else {
            whole
        }
    }

    /// Header and start of block `b` of a group.
    #[inline(always)]
    unsafe fn block(group: *const u8, b: usize) -> (*const u8, *const u8) {
        // SAFETY: block `b` is inside the group.
        unsafe {
            let header = group.add(b / F::RUN * F::RUN_BYTES);
            (
                header,
                header.add(F::HEADER + b % F::RUN * (F::SCALES + QUANTS)),
            )
        }
    }
}

impl<F: Nibbles> Packed for Nibble<F> {
    fn group_bytes(cols: usize) -> usize {
        cols / (BLOCK * F::RUN) * F::RUN_BYTES
    }

    #[inline(never)]
    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
        let runs = cols / (BLOCK * F::RUN);
        // SAFETY: the caller gives `rows` rows of `runs` runs, and a group.
        unsafe {
            to.write_bytes(0, Self::group_bytes(cols));
            for run in 0..runs {
                for row in 0..rows {
                    F::pack(
                        src.add((row * runs + run) * F::SOURCE),
                        row,
                        to.add(run * F::RUN_BYTES),
                    );
                }
            }
        }
    }

    #[inline(never)]
    unsafe fn floats<V: Vector>(
        group: *const u8,
        first: usize,
        count: usize,
        scratch: *mut f32,
    ) -> *const f32 {
        let (mask, nibble) = (half_mask::<V>(), V::splat_i32(15).opaque());
        let (one, offset) = (
            V::splat_f32(HALF),
            V::splat_i32(-8 * F::OFFSET as i32).opaque(),
        );
        // SAFETY: the blocks are inside the group, and the scratch takes their columns.
        unsafe {
            for b in 0..count / BLOCK {
                let (header, block) = Self::block(group, first / BLOCK + b);
                let (scales, mins) = F::scales::<V>(header, block, mask);
                let to = scratch.add(b * BLOCK * GROUP);
                for r in 0..4 {
                    let scale = scales[r].mul_f32(one);
                    let min = if F::MINS {
                        mins[r].mul_f32(one)
                    } else {
                        V::splat_f32(0.0)
                    };
                    for j in 0..4 {
                        let mut bytes = V::load(block.add(F::SCALES + j * 64 + r * 16));
                        for column in [0, 16, 1, 17, 2, 18, 3, 19] {
                            let to = to.add((4 * j + column) * GROUP + 4 * r) as *mut u8;
                            bytes
                                .and(nibble)
                                .add_i32(offset)
                                .to_f32()
                                .madd(scale, min)
                                .store(to);
                            bytes = bytes.shr_u32::<4>();
                        }
                    }
                }
            }
        }
        scratch
    }
}

impl<F: Nibbles> Quantized for Nibble<F> {
    /// Scales, minimums if there are any, and 8 times 8 rows of 4 nibbles, a byte each.
    const STRIP_BLOCK: usize = Self::STRIP_SCALES + 256;

    #[inline(never)]
    unsafe fn matvec_int8<V: Vector, const T: usize>(
        group: *const u8,
        image: *const u8,
        cols: usize,
        sums: *mut f32,
    ) {
        let mask = V::splat_i32(0x0f0f_0f0f).opaque();
        let ones = V::splat_i16(1).opaque();
        let halves = half_mask::<V>();
        let quants = opaque(QUANTS);
        let mut acc = [V::splat_f32(0.0); 4];
        // SAFETY: both pointers advance block by block through what the caller promised.
        unsafe {
            let (mut at, mut a) = (group, image);
            let end = image.add(cols / BLOCK * BLOCK_BYTES * T);
            while a < end {
                let header = at;
                at = at.add(F::HEADER);
                let run_end = a.add(F::RUN * BLOCK_BYTES * T);
                while a < run_end {
                    let mut dot = [V::splat_i16(0); 4];
                    let mut q = at.add(F::SCALES);
                    let q_end = q.add(quants);
                    let mut x = a.add(16 * T);
                    while q < q_end {
                        let (low, high) = (V::load_splat(x), V::load_splat(x.add(16 * T)));
                        for r in 0..4 {
                            let bytes = V::load(q.add(16 * r));
                            let high = high.dot_u7(bytes.shr_u16::<4>().and(mask));
                            dot[r] = dot[r].add_i16(low.dot_u7(bytes.and(mask)).add_i16(high));
                        }
                        q = q.add(64);
                        x = x.add(4 * T);
                    }
                    let (scales, mins) = F::scales::<V>(header, at, halves);
                    let scale = V::load_splat(a);
                    let sum = V::load_splat(a.add(4 * T));
                    let minus = V::load_splat(a.add(8 * T));
                    for r in 0..4 {
                        let whole = Self::whole(dot[r], ones, minus).to_f32();
                        acc[r] = whole.madd(scales[r].mul_f32(scale), acc[r]);
                        if F::MINS {
                            acc[r] = mins[r].madd(sum, acc[r]);
                        }
                    }
                    at = q_end;
                    a = a.add(BLOCK_BYTES * T);
                }
            }
            for r in 0..4 {
                acc[r].store(sums.add(4 * r) as *mut u8);
            }
        }
    }

    #[inline(always)]
    unsafe fn unpack<V: Vector>(group: *const u8, block: usize, strips: [*mut u8; 2]) {
        let mask = V::splat_i32(0x0f0f_0f0f).opaque();
        // SAFETY: the caller's promise.
        unsafe {
            let (header, block) = Self::block(group, block);
            let (scales, mins) = F::scales::<V>(header, block, half_mask::<V>());
            for r in 0..4 {
                let to = strips[r / 2].add(r % 2 * 16);
                scales[r].store(to);
                if F::MINS {
                    mins[r].store(to.add(32));
                }
                for j in 0..4 {
                    let bytes = V::load(block.add(F::SCALES + j * 64 + r * 16));
                    bytes.and(mask).store(to.add(Self::STRIP_SCALES + j * 32));
                    bytes
                        .shr_u16::<4>()
                        .and(mask)
                        .store(to.add(Self::STRIP_SCALES + 128 + j * 32));
                }
            }
        }
    }

    #[inline(never)]
    unsafe fn tile<V: Vector, const T: usize>(
        strip: *const u8,
        image: *const u8,
        blocks: usize,
        sums: *mut f32,
    ) {
        let ones = V::splat_i16(1).opaque();
        let steps = opaque(256);
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = load_sums::<V, T>(sums);
            let (mut p, mut a) = (strip, image);
            let end = p.add(blocks * Self::STRIP_BLOCK);
            while p < end {
                let dot = dots::<V, T>(p.add(Self::STRIP_SCALES), steps, a.add(16 * T));
                let activations = broadcast::<V, T>(a);
                let sums = broadcast::<V, T>(a.add(4 * T));
                let minus = broadcast::<V, T>(a.add(8 * T));
                for t in 0..T {
                    for r in 0..2 {
                        let scale = V::load(p.add(16 * r)).mul_f32(activations[t]);
                        let whole = Self::whole(dot[t][r], ones, minus[t]).to_f32();
                        acc[t][r] = whole.madd(scale, acc[t][r]);
                        if F::MINS {
                            acc[t][r] = V::load(p.add(32 + 16 * r)).madd(sums[t], acc[t][r]);
                        }
                    }
                }
                p = p.add(Self::STRIP_BLOCK);
                a = a.add(BLOCK_BYTES * T);
            }
            store_sums(acc, sums);
        }
    }
}

/// Reads the unaligned 32-bit word at `from`.
///
/// # Safety
/// `from` is readable for 4 bytes.
#[inline(always)]
pub unsafe fn word(from: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { (from as *const u32).read_unaligned() }
}

/// Writes the four words of nibbles of row `row` of a block, which follow its scales at `to`.
///
/// # Safety
/// `to` takes `QUANTS` bytes, `row < GROUP`.
#[inline(always)]
pub unsafe fn write_nibbles(words: [u32; 4], row: usize, to: *mut u8) {
    for (j, word) in words.into_iter().enumerate() {
        // SAFETY: word `j` of the row is inside the block.
        unsafe { (to.add(j * 64 + row * 4) as *mut u32).write_unaligned(word) }
    }
}
