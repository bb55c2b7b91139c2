//! Q8_0: 32 int8 quants behind a half-precision scale, `weight = scale * quant`.
//!
//! ```text
//! packed block: scale f16 [16 rows] | j = 0..8: r0 .. r15, 4 bytes each: quant + 128 of columns 4 j ..
//! ```
//!
//! `quant + 128` is two nibbles, `16 * high + low`, and each is multiplied as those of Q4_0 are: exact for every int8, where an 8-bit dot
//! product of two full bytes would saturate. The offset meets the block's sum of activations, an exact integer too.

use super::float::Packed;
use super::image::{half, half_mask, BLOCK, BLOCK_BYTES, HALF};
use super::nibbles::word;
use super::quantized::{dots, load_sums, store_sums, Quantized};
use super::vector::{opaque, Vector};
use super::GROUP;

/// Bytes of a block of a strip: scales, 8 times 8 rows of 4 high nibbles, then the low ones.
pub const STRIP_BLOCK: usize = 32 + 2 * PLANE;
const PLANE: usize = 256;
const PACKED_BLOCK: usize = 32 + 512;

pub struct Q8_0;

impl Packed for Q8_0 {
    fn group_bytes(cols: usize) -> usize {
        cols / BLOCK * PACKED_BLOCK
    }

    #[inline(never)]
    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
        let blocks = cols / BLOCK;
        // SAFETY: the caller gives `rows` rows of `blocks` blocks of 34 bytes, and a group.
        unsafe {
            to.write_bytes(0, Self::group_bytes(cols));
            for b in 0..blocks {
                let to = to.add(b * PACKED_BLOCK);
                for row in 0..rows {
                    let src = src.add((row * blocks + b) * 34);
                    core::ptr::copy_nonoverlapping(src, to.add(2 * row), 2);
                    for j in 0..8 {
                        let quants = word(src.add(2 + 4 * j)) ^ 0x8080_8080;
                        (to.add(32 + j * 64 + row * 4) as *mut u32).write_unaligned(quants);
                    }
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
        let (mask, byte) = (half_mask::<V>(), V::splat_i32(255).opaque());
        let (one, offset) = (V::splat_f32(HALF), V::splat_i32(-128).opaque());
        // SAFETY: the blocks are inside the group, and the scratch takes their columns.
        unsafe {
            for b in 0..count / BLOCK {
                let block = group.add((first / BLOCK + b) * PACKED_BLOCK);
                let to = scratch.add(b * BLOCK * GROUP);
                for r in 0..4 {
                    let scale = half(V::load_i16(block.add(8 * r)), mask).mul_f32(one);
                    for j in 0..8 {
                        let mut bytes = V::load(block.add(32 + j * 64 + r * 16));
                        for c in 0..4 {
                            let to = to.add((4 * j + c) * GROUP + 4 * r) as *mut u8;
                            let quant = bytes.and(byte).add_i32(offset);
                            quant.to_f32().mul_f32(scale).store(to);
                            bytes = bytes.shr_u32::<8>();
                        }
                    }
                }
            }
        }
        scratch
    }
}

impl Quantized for Q8_0 {
    const STRIP_BLOCK: usize = STRIP_BLOCK;

    #[inline(never)]
    unsafe fn matvec_int8<V: Vector, const T: usize>(
        group: *const u8,
        image: *const u8,
        cols: usize,
        sums: *mut f32,
    ) {
        let mask = V::splat_i32(0x0f0f_0f0f).opaque();
        let (ones, sixteens) = (V::splat_i16(1).opaque(), V::splat_i16(16).opaque());
        let halves = half_mask::<V>();
        let quants = opaque(512);
        let mut acc = [V::splat_f32(0.0); 4];
        // SAFETY: both pointers advance block by block through what the caller promised.
        unsafe {
            let (mut at, mut a) = (group, image);
            let end = image.add(cols / BLOCK * BLOCK_BYTES * T);
            while a < end {
                let mut low = [V::splat_i16(0); 4];
                let mut high = low;
                let mut q = at.add(32);
                let q_end = q.add(quants);
                let mut x = a.add(16 * T);
                while q < q_end {
                    let value = V::load_splat(x);
                    for r in 0..4 {
                        let bytes = V::load(q.add(16 * r));
                        low[r] = low[r].add_i16(value.dot_u7(bytes.and(mask)));
                        high[r] = high[r].add_i16(value.dot_u7(bytes.shr_u16::<4>().and(mask)));
                    }
                    q = q.add(64);
                    x = x.add(4 * T);
                }
                let scale = V::load_splat(a);
                let offset = V::load_splat(a.add(8 * T)).shl_i32::<7>();
                for r in 0..4 {
                    let weight = half(V::load_i16(at.add(8 * r)), halves);
                    let whole = high[r]
                        .dot_i16(sixteens)
                        .add_i32(low[r].dot_i16(ones))
                        .add_i32(offset)
                        .to_f32();
                    acc[r] = whole.madd(weight.mul_f32(scale), acc[r]);
                }
                at = q_end;
                a = a.add(BLOCK_BYTES * T);
            }
            for r in 0..4 {
                acc[r].store(sums.add(4 * r) as *mut u8);
            }
        }
    }

    #[inline(always)]
    unsafe fn unpack<V: Vector>(group: *const u8, block: usize, strips: [*mut u8; 2]) {
        let mask = V::splat_i32(0x0f0f_0f0f).opaque();
        let halves = half_mask::<V>();
        // SAFETY: the caller's promise.
        unsafe {
            let block = group.add(block * PACKED_BLOCK);
            for r in 0..4 {
                let to = strips[r / 2].add(r % 2 * 16);
                half(V::load_i16(block.add(8 * r)), halves).store(to);
                for j in 0..8 {
                    let bytes = V::load(block.add(32 + j * 64 + r * 16));
                    bytes.shr_u16::<4>().and(mask).store(to.add(32 + j * 32));
                    bytes.and(mask).store(to.add(32 + PLANE + j * 32));
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
        let (ones, sixteens) = (V::splat_i16(1).opaque(), V::splat_i16(16).opaque());
        let steps = opaque(PLANE);
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = load_sums::<V, T>(sums);
            let (mut p, mut a) = (strip, image);
            let end = p.add(blocks * STRIP_BLOCK);
            while p < end {
                let high = dots::<V, T>(p.add(32), steps, a.add(16 * T));
                let whole = high.map(|row| row.map(|dot| dot.dot_i16(sixteens)));
                let low = dots::<V, T>(p.add(32 + PLANE), steps, a.add(16 * T));
                for t in 0..T {
                    let scale = V::load_splat(a.add(4 * t));
                    let offset = V::load_splat(a.add(4 * (2 * T + t))).shl_i32::<7>();
                    for r in 0..2 {
                        let scale = V::load(p.add(16 * r)).mul_f32(scale);
                        let whole = whole[t][r]
                            .add_i32(low[t][r].dot_i16(ones))
                            .add_i32(offset)
                            .to_f32();
                        acc[t][r] = whole.madd(scale, acc[t][r]);
                    }
                }
                p = p.add(STRIP_BLOCK);
                a = a.add(BLOCK_BYTES * T);
            }
            store_sums(acc, sums);
        }
    }
}
