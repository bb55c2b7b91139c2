//! The numbers that bitsandbytes' codes of 4 bits stand for, and the types that they are rounded to times absmax.

use super::vector::Vector;

/// 16 numbers.
pub trait Code {
    const NUMBERS: [f32; 16];
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

/// The type that weights had.
pub trait Rounding {
    /// Whether the two upper bytes of a number are all of it.
    const SHORT: bool;
    /// What [`Rounding::round`] needs.
    const CONSTANTS: [u32; 3];
    /// The nearest numbers of the type, ties to even; bytes that are none of a short number mean nothing.
    fn round<V: Vector>(values: V, constants: &[V; 3]) -> V;
}

pub struct ToF32;
pub struct ToBf16;
pub struct ToF16;

impl Rounding for ToF32 {
    const SHORT: bool = false;
    const CONSTANTS: [u32; 3] = [0; 3];
    #[inline(always)]
    fn round<V: Vector>(values: V, _constants: &[V; 3]) -> V {
        values
    }
}
impl Rounding for ToBf16 {
    const SHORT: bool = true;
    const CONSTANTS: [u32; 3] = [1, 0x7fff, 0];
    #[inline(always)]
    fn round<V: Vector>(values: V, constants: &[V; 3]) -> V {
        let odd = values.shr_u32::<16>().and(constants[0]);
        values.add_i32(odd).add_i32(constants[1])
    }
}
impl Rounding for ToF16 {
    const SHORT: bool = false;
    const CONSTANTS: [u32; 3] = [0x7f80_0000, 113 << 23, 13 << 23 | 1 << 22];
    /// The sum with one and a half times `2^13` times the value's power of two ends at the last bit that f16 has.
    #[inline(always)]
    fn round<V: Vector>(values: V, constants: &[V; 3]) -> V {
        let exponent = values.and(constants[0]).max_i32(constants[1]);
        let large = exponent.add_i32(constants[2]);
        values.add_f32(large).sub_f32(large)
    }
}
