//! `v128`. With relaxed SIMD `dot_u7` is one x86 instruction (`vpmaddubsw`) and `madd` a fused multiply-add.

use super::Vector;
use core::arch::wasm32::*;

impl Vector for v128 {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's promise; v128.load takes any alignment.
        unsafe { v128_load(from as *const v128) }
    }
    #[inline(always)]
    unsafe fn load_splat(from: *const u8) -> Self {
        // SAFETY: as above.
        unsafe { v128_load32_splat(from as *const u32) }
    }
    #[inline(always)]
    unsafe fn load_i16(from: *const u8) -> Self {
        // SAFETY: as above.
        unsafe { i32x4_load_extend_i16x4(from as *const i16) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: as above.
        unsafe { v128_store(to as *mut v128, self) }
    }
    #[inline(always)]
    fn splat_f32(value: f32) -> Self {
        f32x4_splat(value)
    }
    #[inline(always)]
    fn splat_i16(value: i16) -> Self {
        i16x8_splat(value)
    }
    #[inline(always)]
    fn splat_i32(value: i32) -> Self {
        i32x4_splat(value)
    }
    #[inline(always)]
    fn lane<const L: usize>(self) -> Self {
        i32x4_shuffle::<L, L, L, L>(self, self)
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        v128_and(self, other)
    }
    #[inline(always)]
    fn shl_i32<const N: u32>(self) -> Self {
        i32x4_shl(self, N)
    }
    #[inline(always)]
    fn shr_u32<const N: u32>(self) -> Self {
        u32x4_shr(self, N)
    }
    #[inline(always)]
    fn shr_u16<const N: u32>(self) -> Self {
        u16x8_shr(self, N)
    }
    #[inline(always)]
    fn shr_i32<const N: u32>(self) -> Self {
        i32x4_shr(self, N)
    }
    #[inline(always)]
    fn shl_i16<const N: u32>(self) -> Self {
        i16x8_shl(self, N)
    }
    #[inline(always)]
    fn shr_i16<const N: u32>(self) -> Self {
        i16x8_shr(self, N)
    }
    #[inline(always)]
    fn add_i16(self, other: Self) -> Self {
        i16x8_add(self, other)
    }
    #[inline(always)]
    fn add_i32(self, other: Self) -> Self {
        i32x4_add(self, other)
    }
    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    fn dot_u7(self, other: Self) -> Self {
        i16x8_relaxed_dot_i8x16_i7x16(self, other)
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    fn dot_u7(self, other: Self) -> Self {
        let even = i16x8_mul(
            i16x8_shr(i16x8_shl(self, 8), 8),
            v128_and(other, i16x8_splat(0x7f)),
        );
        let odd = i16x8_mul(i16x8_shr(self, 8), u16x8_shr(other, 8));
        i16x8_add(even, odd)
    }
    #[inline(always)]
    fn dot_i16(self, other: Self) -> Self {
        i32x4_dot_i16x8(self, other)
    }
    #[inline(always)]
    fn widen_i8<const HIGH: bool>(self) -> Self {
        if HIGH {
            i16x8_extend_high_i8x16(self)
        } else {
            i16x8_extend_low_i8x16(self)
        }
    }
    #[inline(always)]
    fn widen_u8<const HIGH: bool>(self) -> Self {
        if HIGH {
            i16x8_extend_high_u8x16(self)
        } else {
            i16x8_extend_low_u8x16(self)
        }
    }
    #[inline(always)]
    fn widen_i16<const HIGH: bool>(self) -> Self {
        if HIGH {
            i32x4_extend_high_i16x8(self)
        } else {
            i32x4_extend_low_i16x8(self)
        }
    }
    #[inline(always)]
    fn narrow_i32(self, other: Self) -> Self {
        i16x8_narrow_i32x4(self, other)
    }
    #[inline(always)]
    fn narrow_i16(self, other: Self) -> Self {
        i8x16_narrow_i16x8(self, other)
    }
    #[inline(always)]
    fn zip_i8<const HIGH: bool>(self, other: Self) -> Self {
        if HIGH {
            i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(
                self, other,
            )
        } else {
            i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(self, other)
        }
    }
    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    fn swizzle(self, index: Self) -> Self {
        i8x16_relaxed_swizzle(self, index)
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    fn swizzle(self, index: Self) -> Self {
        i8x16_swizzle(self, index)
    }
    #[inline(always)]
    fn zip_i16<const HIGH: bool>(self, other: Self) -> Self {
        if HIGH {
            i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(self, other)
        } else {
            i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(self, other)
        }
    }
    #[inline(always)]
    fn to_f32(self) -> Self {
        f32x4_convert_i32x4(self)
    }
    #[inline(always)]
    fn to_i32(self) -> Self {
        i32x4_trunc_sat_f32x4(f32x4_nearest(self))
    }
    #[inline(always)]
    fn add_f32(self, other: Self) -> Self {
        f32x4_add(self, other)
    }
    #[inline(always)]
    fn sub_f32(self, other: Self) -> Self {
        f32x4_sub(self, other)
    }
    #[inline(always)]
    fn mul_f32(self, other: Self) -> Self {
        f32x4_mul(self, other)
    }
    #[inline(always)]
    fn max_i32(self, other: Self) -> Self {
        i32x4_max(self, other)
    }
    #[inline(always)]
    fn abs_f32(self) -> Self {
        f32x4_abs(self)
    }
    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    fn madd(self, by: Self, plus: Self) -> Self {
        f32x4_relaxed_madd(self, by, plus)
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    fn madd(self, by: Self, plus: Self) -> Self {
        f32x4_add(f32x4_mul(self, by), plus)
    }
}
