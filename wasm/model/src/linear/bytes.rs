//! What Q5_K and Q6_K share: quants of at most 6 bits, a byte each, and integer scales: `weight = d * scale * (quant - offset) + min`.
//!
//! ```text
//! packed super-block: header (d, .. of 16 rows)
//!                     8 blocks: scales [32 bytes] | j = 0..8: r0 .. r15, 4 bytes each: quants of columns 4 j ..
//! ```
//!
//! Two 8-bit dot products summed in i16 are at most `2 * 2 * 63 * 128 = 32,256`; widening them multiplies with the integer scale for nothing.
//! Offset and minimum meet the block's sums of activations; the offset as an integer, so exactly.

use super::float::Packed;
use super::image::{BLOCK, BLOCK_BYTES, HALF};
use super::quantized::{broadcast, load_sums, store_sums, Quantized};
use super::vector::{opaque, Vector};
use super::GROUP;
use core::marker::PhantomData;

/// Blocks of a super-block.
pub const RUN: usize = 8;
/// Bytes of a packed block: scales and quants.
pub const PACKED_BLOCK: usize = SCALES + 512;
/// Bytes of the scales of a packed block.
pub const SCALES: usize = 32;
/// Bytes of two steps of a strip: integer scales and two times 8 rows of 4 quants.
const PAIR: usize = 32 + 64;

/// Scales of a block of 16 rows. Halves are the first and last 16 columns.
pub struct Scales<V> {
    /// `2^-112` times the scale that all columns of a row share.
    pub d: [V; 4],
    /// `[half][rows 0..8 and 8..16]`: integer scales, i16.
    pub integers: [[V; 2]; 2],
    /// Minimums of Q5_K, `2^-112` times their value.
    pub mins: [V; 4],
}

impl<V: Vector> Scales<V> {
    /// The integer scales of four rows as floats.
    #[inline(always)]
    pub fn floats(integers: [V; 2], r: usize) -> V {
        let eight = integers[r / 2];
        if r.is_multiple_of(2) {
            eight.widen_i16::<false>().to_f32()
        } else {
            eight.widen_i16::<true>().to_f32()
        }
    }

    /// The integer scales of four rows in halves `a` and `b`, alternating: operands of the widening dot product.
    #[inline(always)]
    fn zipped(&self, a: usize, b: usize, r: usize) -> V {
        let (a, b) = (self.integers[a][r / 2], self.integers[b][r / 2]);
        if r.is_multiple_of(2) {
            a.zip_i16::<false>(b)
        } else {
            a.zip_i16::<true>(b)
        }
    }
}

/// A format of bytes.
pub trait Bytes {
    /// Bytes of a super-block of one row as the file holds it.
    const SOURCE: usize;
    /// Bytes of the header of a packed super-block.
    const HEADER: usize;
    /// Whether quants are offset by 32; minimums take the place of an offset.
    const OFFSET: bool;

    /// Packs a super-block of one row.
    ///
    /// # Safety
    /// `src` holds `SOURCE` bytes, `to` takes a packed super-block, and `row < GROUP`.
    unsafe fn pack(src: *const u8, row: usize, to: *mut u8);

    /// Scales of a block.
    ///
    /// # Safety
    /// `header` and `block` lie in a packed group.
    unsafe fn scales<V: Vector>(header: *const u8, block: *const u8) -> Scales<V>;
}

/// Kernels of a format of bytes.
pub struct ByteQuants<F>(PhantomData<F>);

impl<F: Bytes> ByteQuants<F> {
    const RUN_BYTES: usize = F::HEADER + RUN * PACKED_BLOCK;

    /// Header and start of block `b` of a group.
    #[inline(always)]
    unsafe fn block(group: *const u8, b: usize) -> (*const u8, *const u8) {
        // SAFETY: block `b` is inside the group.
        unsafe {
            let header = group.add(b / RUN * Self::RUN_BYTES);
            (header, header.add(F::HEADER + b % RUN * PACKED_BLOCK))
        }
    }
}

impl<F: Bytes> Packed for ByteQuants<F> {
    fn group_bytes(cols: usize) -> usize {
        cols / (BLOCK * RUN) * Self::RUN_BYTES
    }

    #[inline(never)]
    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
        let runs = cols / (BLOCK * RUN);
        // SAFETY: the caller gives `rows` rows of `runs` super-blocks, and a group.
        unsafe {
            to.write_bytes(0, Self::group_bytes(cols));
            for run in 0..runs {
                for row in 0..rows {
                    let src = src.add((row * runs + run) * F::SOURCE);
                    F::pack(src, row, to.add(run * Self::RUN_BYTES));
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
        let (byte, zero) = (
            V::splat_i32(255).opaque(),
            V::splat_i32(-32 * F::OFFSET as i32).opaque(),
        );
        let one = V::splat_f32(HALF);
        // SAFETY: the blocks are inside the group, and the scratch takes their columns.
        unsafe {
            for b in 0..count / BLOCK {
                let (header, block) = Self::block(group, first / BLOCK + b);
                let scales = F::scales::<V>(header, block);
                let to = scratch.add(b * BLOCK * GROUP);
                for (r, d) in scales.d.into_iter().enumerate() {
                    for j in 0..8 {
                        let scale =
                            Scales::floats(scales.integers[j / 4], r).mul_f32(d.mul_f32(one));
                        let min = if F::OFFSET {
                            V::splat_f32(0.0)
                        } else {
                            scales.mins[r].mul_f32(one)
                        };
                        let mut bytes = V::load(block.add(SCALES + j * 64 + r * 16));
                        for c in 0..4 {
                            let to = to.add((4 * j + c) * GROUP + 4 * r) as *mut u8;
                            let quant = bytes.and(byte).add_i32(zero);
                            quant.to_f32().madd(scale, min).store(to);
                            bytes = bytes.shr_u32::<8>();
                        }
                    }
                }
            }
        }
        scratch
    }
}

impl<F: Bytes> Quantized for ByteQuants<F> {
    /// `d`, minimums or zipped integer scales, and four pairs of steps.
    const STRIP_BLOCK: usize = 2 * 32 + 4 * PAIR;

    #[inline(never)]
    unsafe fn matvec_int8<V: Vector, const T: usize>(
        group: *const u8,
        image: *const u8,
        cols: usize,
        sums: *mut f32,
    ) {
        let half_quants = opaque(256);
        let mut acc = [V::splat_f32(0.0); 4];
        // SAFETY: both pointers advance block by block through what the caller promised.
        unsafe {
            let (mut at, mut a) = (group, image);
            let end = image.add(cols / BLOCK * BLOCK_BYTES * T);
            while a < end {
                let header = at;
                at = at.add(F::HEADER);
                let run_end = a.add(RUN * BLOCK_BYTES * T);
                while a < run_end {
                    let scales = F::scales::<V>(header, at);
                    let mut whole = [V::splat_i32(0); 4];
                    if F::OFFSET {
                        let sums = V::load_splat(a.add(12 * T));
                        for (r, whole) in whole.iter_mut().enumerate() {
                            *whole = scales.zipped(0, 1, r).dot_i16(sums).shl_i32::<5>();
                        }
                    }
                    let mut q = at.add(SCALES);
                    let mut x = a.add(16 * T);
                    for half in 0..2 {
                        let pairs: [V; 4] = core::array::from_fn(|r| scales.zipped(half, half, r));
                        let q_end = q.add(half_quants);
                        while q < q_end {
                            let (x0, x1) = (V::load_splat(x), V::load_splat(x.add(4 * T)));
                            for r in 0..4 {
                                let dot = x0.dot_u7(V::load(q.add(16 * r)));
                                let dot = dot.add_i16(x1.dot_u7(V::load(q.add(64 + 16 * r))));
                                whole[r] = whole[r].add_i32(dot.dot_i16(pairs[r]));
                            }
                            q = q.add(128);
                            x = x.add(8 * T);
                        }
                    }
                    let scale = V::load_splat(a);
                    let sum = V::load_splat(a.add(4 * T));
                    for r in 0..4 {
                        acc[r] = whole[r].to_f32().madd(scales.d[r].mul_f32(scale), acc[r]);
                        if !F::OFFSET {
                            acc[r] = scales.mins[r].madd(sum, acc[r]);
                        }
                    }
                    at = q;
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
        // SAFETY: the caller's promise.
        unsafe {
            let (header, block) = Self::block(group, block);
            let scales = F::scales::<V>(header, block);
            for r in 0..4 {
                let to = strips[r / 2].add(r % 2 * 16);
                scales.d[r].store(to);
                if F::OFFSET {
                    scales.zipped(0, 1, r)
                } else {
                    scales.mins[r]
                }
                .store(to.add(32));
                for pair in 0..4 {
                    let to = to.add(64 + pair * PAIR);
                    let from = block.add(SCALES + pair * 128 + r * 16);
                    scales.zipped(pair / 2, pair / 2, r).store(to);
                    V::load(from).store(to.add(32));
                    V::load(from.add(64)).store(to.add(64));
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
        let quants = opaque(4 * PAIR);
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = load_sums::<V, T>(sums);
            let (mut p, mut a) = (strip, image);
            let end = p.add(blocks * Self::STRIP_BLOCK);
            while p < end {
                let mut whole = [[V::splat_i32(0); 2]; T];
                if F::OFFSET {
                    for t in 0..T {
                        let sums = V::load_splat(a.add(4 * (3 * T + t)));
                        for r in 0..2 {
                            let scales = V::load(p.add(32 + 16 * r));
                            whole[t][r] = scales.dot_i16(sums).shl_i32::<5>();
                        }
                    }
                }
                let (mut q, mut x) = (p.add(64), a.add(16 * T));
                let q_end = q.add(quants);
                while q < q_end {
                    let w: [[V; 2]; 2] = core::array::from_fn(|k| {
                        core::array::from_fn(|r| V::load(q.add(32 + 32 * k + 16 * r)))
                    });
                    let (x0, x1) = (broadcast::<V, T>(x), broadcast::<V, T>(x.add(4 * T)));
                    for t in 0..T {
                        for r in 0..2 {
                            let dot = x0[t].dot_u7(w[0][r]).add_i16(x1[t].dot_u7(w[1][r]));
                            let scaled = dot.dot_i16(V::load(q.add(16 * r)));
                            whole[t][r] = whole[t][r].add_i32(scaled);
                        }
                    }
                    q = q.add(PAIR);
                    x = x.add(8 * T);
                }
                for t in 0..T {
                    let scale = V::load_splat(a.add(4 * t));
                    let sum = V::load_splat(a.add(4 * (T + t)));
                    for r in 0..2 {
                        let scale = V::load(p.add(16 * r)).mul_f32(scale);
                        acc[t][r] = whole[t][r].to_f32().madd(scale, acc[t][r]);
                        if !F::OFFSET {
                            acc[t][r] = V::load(p.add(32 + 16 * r)).madd(sum, acc[t][r]);
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
