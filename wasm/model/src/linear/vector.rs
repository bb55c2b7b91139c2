//! The 128-bit vector that the kernels are written over: `v128` in Wasm, an array of lanes elsewhere (host tests).
//!
//! Lanes have no type; the operation says how it reads them, as in Wasm. This module and its two implementations are the only place that
//! knows whether relaxed SIMD is there.

mod portable;
#[cfg(target_arch = "wasm32")]
mod wasm;

/// The vector of this build.
#[cfg(target_arch = "wasm32")]
pub type Native = core::arch::wasm32::v128;
/// The vector of this build.
#[cfg(not(target_arch = "wasm32"))]
pub type Native = [u32; 4];

/// 128 bits. Suffixes: `i8`/`u7` sixteen lanes, `i16`/`u16` eight, `i32`/`f32` four.
pub trait Vector: Copy {
    /// Reads 16 bytes, any alignment.
    ///
    /// # Safety
    /// `from` is readable for 16 bytes.
    unsafe fn load(from: *const u8) -> Self;
    /// Reads 4 bytes into all four lanes.
    ///
    /// # Safety
    /// `from` is readable for 4 bytes.
    unsafe fn load_splat(from: *const u8) -> Self;
    /// Reads four i16 and sign-extends them to i32.
    ///
    /// # Safety
    /// `from` is readable for 8 bytes.
    unsafe fn load_i16(from: *const u8) -> Self;
    /// Writes 16 bytes, any alignment.
    ///
    /// # Safety
    /// `to` is writable for 16 bytes.
    unsafe fn store(self, to: *mut u8);

    fn splat_f32(value: f32) -> Self;
    fn splat_i16(value: i16) -> Self;
    fn splat_i32(value: i32) -> Self;
    /// The same value, but one the compiler knows nothing about: keeps constants in registers instead of rebuilt inside loops.
    fn opaque(self) -> Self {
        core::hint::black_box(self)
    }
    /// Lane `L` of four in all four lanes.
    fn lane<const L: usize>(self) -> Self;

    fn and(self, other: Self) -> Self;
    fn shl_i32<const N: u32>(self) -> Self;
    fn shr_u32<const N: u32>(self) -> Self;
    fn shr_u16<const N: u32>(self) -> Self;
    /// With the sign.
    fn shr_i32<const N: u32>(self) -> Self;
    fn shl_i16<const N: u32>(self) -> Self;
    /// With the sign.
    fn shr_i16<const N: u32>(self) -> Self;
    fn add_i16(self, other: Self) -> Self;
    fn add_i32(self, other: Self) -> Self;
    fn max_i32(self, other: Self) -> Self;
    /// `self` sixteen i8, `other` sixteen values of 0..=127: products summed in pairs, eight i16.
    fn dot_u7(self, other: Self) -> Self;
    /// Products of eight i16 summed in pairs, four i32.
    fn dot_i16(self, other: Self) -> Self;
    /// The low or high eight bytes to eight i16.
    fn widen_i8<const HIGH: bool>(self) -> Self;
    fn widen_u8<const HIGH: bool>(self) -> Self;
    /// The low or high four i16 to four i32.
    fn widen_i16<const HIGH: bool>(self) -> Self;
    /// Eight i32 (`self`, then `other`) to i16, saturating.
    fn narrow_i32(self, other: Self) -> Self;
    /// Sixteen i16 (`self`, then `other`) to i8, saturating.
    fn narrow_i16(self, other: Self) -> Self;
    /// The low or high eight bytes of both, alternating.
    fn zip_i8<const HIGH: bool>(self, other: Self) -> Self;
    /// Of these sixteen bytes those at `index`, sixteen of 0..=15.
    fn swizzle(self, index: Self) -> Self;
    /// The low or high four i16 of both, alternating.
    fn zip_i16<const HIGH: bool>(self, other: Self) -> Self;

    /// Four i32 to f32.
    fn to_f32(self) -> Self;
    /// Four f32 to the nearest i32, ties to even.
    fn to_i32(self) -> Self;
    fn add_f32(self, other: Self) -> Self;
    fn sub_f32(self, other: Self) -> Self;
    fn mul_f32(self, other: Self) -> Self;
    fn abs_f32(self) -> Self;
    /// `self * by + plus`, rounded once in relaxed builds and twice in others.
    fn madd(self, by: Self, plus: Self) -> Self;
}

/// A loop bound the compiler knows nothing about: the loop stays rolled. V8 spills registers in unrolled ones.
pub fn opaque(count: usize) -> usize {
    core::hint::black_box(count)
}
