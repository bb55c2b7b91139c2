//! bitsandbytes' nf4 and fp4: `weight = round(number of the code * absmax)`, absmax f32 of 64 columns, rounded to the type the weights had.
//!
//! ```text
//! packed block: absmax f32 [16 rows]
//!               32 x 16 bytes, those of the file: pair of columns j of r0 .. r15, the first column in the high half
//! ```
//!
//! A code is looked up byte by byte: four swizzles give the four bytes of the numbers of 16 rows.

use super::float::Packed;
use super::vector::Vector;
use super::GROUP;
use core::marker::PhantomData;

/// Columns of a block.
const COLUMNS: usize = 64;
/// Bytes of a block of one row as the file holds it.
const SOURCE: usize = 36;
/// Bytes of absmax of a packed block.
const SCALES: usize = GROUP * 4;
const BLOCK_BYTES: usize = SCALES + COLUMNS / 2 * GROUP;

/// 16 numbers.
pub trait Code {
    const NUMBERS: [f32; 16];
    /// Byte `i` of each number.
    const PLANES: [[u8; 16]; 4] = {
        let mut planes = [[0; 16]; 4];
        let mut at = 0;
        while at < 64 {
            planes[at % 4][at / 4] = Self::NUMBERS[at / 4].to_le_bytes()[at % 4];
            at += 1;
        }
        planes
    };
}

/// Quantiles of a normal distribution.
pub struct Nf4;
/// A sign and three bits.
pub struct Fp4;

impl Code for Nf4 {
    const NUMBERS: [f32; 16] = [
        -1.0,
        -0.696_192_8,
        -0.525_073_05,
        -0.394_917_5,
        -0.284_441_38,
        -0.184_773_43,
        -0.091_050_036,
        0.0,
        0.079_580_3,
        0.160_930_2,
        0.246_112_3,
        0.337_915_24,
        0.440_709_83,
        0.562_617,
        0.722_956_84,
        1.0,
    ];
}
impl Code for Fp4 {
    const NUMBERS: [f32; 16] = [
        0.0,
        0.005_208_333_5,
        0.666_666_7,
        1.0,
        0.333_333_34,
        0.5,
        0.166_666_67,
        0.25,
        0.0,
        -0.005_208_333_5,
        -0.666_666_7,
        -1.0,
        -0.333_333_34,
        -0.5,
        -0.166_666_67,
        -0.25,
    ];
}

/// To which type values are rounded.
pub trait Rounding {
    /// The nearest, ties to even.
    fn round<V: Vector>(values: V) -> V;
}

pub struct ToF32;
pub struct ToBf16;
pub struct ToF16;

impl Rounding for ToF32 {
    #[inline(always)]
    fn round<V: Vector>(values: V) -> V {
        values
    }
}
impl Rounding for ToBf16 {
    #[inline(always)]
    fn round<V: Vector>(values: V) -> V {
        let odd = values.shr_u32::<16>().and(V::splat_i32(1));
        values
            .add_i32(odd)
            .add_i32(V::splat_i32(0x7fff))
            .and(V::splat_i32(0xffff_0000_u32 as i32))
    }
}
impl Rounding for ToF16 {
    /// The sum with one and a half times `2^13` times the value's power of two ends at the last bit that f16 has.
    #[inline(always)]
    fn round<V: Vector>(values: V) -> V {
        let exponent = values
            .and(V::splat_i32(0x7f80_0000))
            .max_i32(V::splat_i32(113 << 23));
        let large = exponent.add_i32(V::splat_i32(13 << 23 | 1 << 22));
        values.add_f32(large).sub_f32(large)
    }
}

/// Kernels of a code and the type that the weights had.
pub struct FourBit<C, R>(PhantomData<(C, R)>);

impl<C: Code, R: Rounding> Packed for FourBit<C, R> {
    fn group_bytes(cols: usize) -> usize {
        cols / COLUMNS * BLOCK_BYTES
    }

    #[inline(never)]
    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
        let blocks = cols / COLUMNS;
        // SAFETY: the caller gives `rows` rows of `blocks` blocks, and a group.
        unsafe {
            to.write_bytes(0, Self::group_bytes(cols));
            for row in 0..rows {
                for block in 0..blocks {
                    let from = src.add((row * blocks + block) * SOURCE);
                    let to = to.add(block * BLOCK_BYTES);
                    core::ptr::copy_nonoverlapping(from, to.add(4 * row), 4);
                    for pair in 0..COLUMNS / 2 {
                        *to.add(SCALES + pair * GROUP + row) = *from.add(4 + pair);
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
        // SAFETY: planes are 16 bytes; the pairs are inside the group, and the scratch takes their columns.
        unsafe {
            let planes = C::PLANES.each_ref().map(|plane| V::load(plane.as_ptr()));
            let nibble = V::splat_i32(0x0f0f_0f0f).opaque();
            let mut to = scratch as *mut u8;
            for pair in first / 2..(first + count) / 2 {
                let block = group.add(pair / (COLUMNS / 2) * BLOCK_BYTES);
                let both = V::load(block.add(SCALES + pair % (COLUMNS / 2) * GROUP));
                for index in [both.shr_u16::<4>().and(nibble), both.and(nibble)] {
                    let bytes = planes.map(|plane| plane.swizzle(index));
                    let (low, high) = (
                        bytes[0].zip_i8::<false>(bytes[1]),
                        bytes[2].zip_i8::<false>(bytes[3]),
                    );
                    let (low_8, high_8) = (
                        bytes[0].zip_i8::<true>(bytes[1]),
                        bytes[2].zip_i8::<true>(bytes[3]),
                    );
                    let numbers = [
                        low.zip_i16::<false>(high),
                        low.zip_i16::<true>(high),
                        low_8.zip_i16::<false>(high_8),
                        low_8.zip_i16::<true>(high_8),
                    ];
                    for (r, number) in numbers.into_iter().enumerate() {
                        let value = number.mul_f32(V::load(block.add(16 * r)));
                        R::round(value).store(to.add(16 * r));
                    }
                    to = to.add(GROUP * 4);
                }
            }
        }
        scratch
    }
}
