//! Four lanes of 32 bits: what the kernels of this crate need of SIMD, for Wasm and, as a plain array, for tests on any machine.

/// Four 32-bit lanes, read as f32, i32 or u32 as each operation says. Masks are all ones or all zeros in a lane.
pub trait Vector: Copy {
    /// Four values in little-endian order.
    fn load(bytes: &[u8; 16]) -> Self;
    fn load_floats(values: &[f32; 4]) -> Self;
    /// Four u16, each zero-extended to 32 bits.
    fn load_u16(bytes: &[u8; 8]) -> Self;
    fn splat(value: f32) -> Self;
    fn splat_bits(bits: u32) -> Self;
    fn to_array(self) -> [f32; 4];
    /// The top bit of each lane, lane 0 in bit 0.
    fn bitmask(self) -> u32;

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `other < self ? other : self`.
    fn min(self, other: Self) -> Self;
    /// `self < other ? other : self`.
    fn max(self, other: Self) -> Self;
    fn ge(self, other: Self) -> Self;
    fn eq(self, other: Self) -> Self;
    /// Toward zero, saturating, NaN to 0; the lanes are i32 afterwards.
    fn truncate(self) -> Self;
    /// Of i32 lanes.
    fn to_float(self) -> Self;

    fn add_int(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn shl<const BITS: u32>(self) -> Self;
    /// Of i32 lanes that are not negative.
    fn min_int(self, other: Self) -> Self;
    /// i32 lanes, saturated.
    fn narrow_i8(parts: [Self; 4]) -> [u8; 16];
    /// i32 lanes, saturated.
    fn narrow_u8(parts: [Self; 4]) -> [u8; 16];
}

/// The best implementation for this target.
#[cfg(not(target_arch = "wasm32"))]
pub type Native = [u32; 4];
/// The best implementation for this target.
#[cfg(target_arch = "wasm32")]
pub type Native = core::arch::wasm32::v128;

fn map(a: [u32; 4], f: impl Fn(u32) -> u32) -> [u32; 4] {
    a.map(f)
}
fn zip(a: [u32; 4], b: [u32; 4], f: impl Fn(u32, u32) -> u32) -> [u32; 4] {
    core::array::from_fn(|i| f(a[i], b[i]))
}
fn zip_floats(a: [u32; 4], b: [u32; 4], f: impl Fn(f32, f32) -> f32) -> [u32; 4] {
    zip(a, b, |a, b| {
        f(f32::from_bits(a), f32::from_bits(b)).to_bits()
    })
}

impl Vector for [u32; 4] {
    fn load(bytes: &[u8; 16]) -> Self {
        core::array::from_fn(|i| u32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap()))
    }
    fn load_floats(values: &[f32; 4]) -> Self {
        values.map(f32::to_bits)
    }
    fn load_u16(bytes: &[u8; 8]) -> Self {
        core::array::from_fn(|i| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]) as u32)
    }
    fn splat(value: f32) -> Self {
        [value.to_bits(); 4]
    }
    fn splat_bits(bits: u32) -> Self {
        [bits; 4]
    }
    fn to_array(self) -> [f32; 4] {
        self.map(f32::from_bits)
    }
    fn bitmask(self) -> u32 {
        (0..4).map(|i| (self[i] >> 31) << i).sum()
    }
    fn add(self, other: Self) -> Self {
        zip_floats(self, other, |a, b| a + b)
    }
    fn sub(self, other: Self) -> Self {
        zip_floats(self, other, |a, b| a - b)
    }
    fn mul(self, other: Self) -> Self {
        zip_floats(self, other, |a, b| a * b)
    }
    fn min(self, other: Self) -> Self {
        zip_floats(self, other, |a, b| if b < a { b } else { a })
    }
    fn max(self, other: Self) -> Self {
        zip_floats(self, other, |a, b| if a < b { b } else { a })
    }
    fn ge(self, other: Self) -> Self {
        zip_floats(self, other, |a, b| {
            f32::from_bits(if a >= b { u32::MAX } else { 0 })
        })
    }
    fn eq(self, other: Self) -> Self {
        zip_floats(self, other, |a, b| {
            f32::from_bits(if a == b { u32::MAX } else { 0 })
        })
    }
    fn truncate(self) -> Self {
        map(self, |a| f32::from_bits(a) as i32 as u32)
    }
    fn to_float(self) -> Self {
        map(self, |a| (a as i32 as f32).to_bits())
    }
    fn add_int(self, other: Self) -> Self {
        zip(self, other, |a, b| a.wrapping_add(b))
    }
    fn and(self, other: Self) -> Self {
        zip(self, other, |a, b| a & b)
    }
    fn or(self, other: Self) -> Self {
        zip(self, other, |a, b| a | b)
    }
    fn shl<const BITS: u32>(self) -> Self {
        map(self, |a| a << BITS)
    }
    fn min_int(self, other: Self) -> Self {
        zip(self, other, |a, b| a.min(b))
    }
    fn narrow_i8(parts: [Self; 4]) -> [u8; 16] {
        core::array::from_fn(|i| (parts[i / 4][i % 4] as i32).clamp(-128, 127) as i8 as u8)
    }
    fn narrow_u8(parts: [Self; 4]) -> [u8; 16] {
        core::array::from_fn(|i| (parts[i / 4][i % 4] as i32).clamp(0, 255) as u8)
    }
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    use super::Vector;
    use core::arch::wasm32::*;

    fn bytes(v: v128) -> [u8; 16] {
        // SAFETY: both are 16 bytes in which every bit pattern is valid.
        unsafe { core::mem::transmute(v) }
    }

    impl Vector for v128 {
        fn load(bytes: &[u8; 16]) -> Self {
            // SAFETY: the reference covers the 16 bytes; v128_load asks for no alignment.
            unsafe { v128_load(bytes.as_ptr().cast()) }
        }
        fn load_floats(values: &[f32; 4]) -> Self {
            // SAFETY: the reference covers the 16 bytes; v128_load asks for no alignment.
            unsafe { v128_load(values.as_ptr().cast()) }
        }
        fn load_u16(bytes: &[u8; 8]) -> Self {
            // SAFETY: the reference covers the 8 bytes; the load asks for no alignment.
            unsafe { u32x4_load_extend_u16x4(bytes.as_ptr().cast()) }
        }
        fn splat(value: f32) -> Self {
            f32x4_splat(value)
        }
        fn splat_bits(bits: u32) -> Self {
            u32x4_splat(bits)
        }
        fn to_array(self) -> [f32; 4] {
            [
                f32x4_extract_lane::<0>(self),
                f32x4_extract_lane::<1>(self),
                f32x4_extract_lane::<2>(self),
                f32x4_extract_lane::<3>(self),
            ]
        }
        fn bitmask(self) -> u32 {
            i32x4_bitmask(self) as u32
        }
        fn add(self, other: Self) -> Self {
            f32x4_add(self, other)
        }
        fn sub(self, other: Self) -> Self {
            f32x4_sub(self, other)
        }
        fn mul(self, other: Self) -> Self {
            f32x4_mul(self, other)
        }
        fn min(self, other: Self) -> Self {
            f32x4_pmin(self, other)
        }
        fn max(self, other: Self) -> Self {
            f32x4_pmax(self, other)
        }
        fn ge(self, other: Self) -> Self {
            f32x4_ge(self, other)
        }
        fn eq(self, other: Self) -> Self {
            f32x4_eq(self, other)
        }
        fn truncate(self) -> Self {
            i32x4_trunc_sat_f32x4(self)
        }
        fn to_float(self) -> Self {
            f32x4_convert_i32x4(self)
        }
        fn add_int(self, other: Self) -> Self {
            i32x4_add(self, other)
        }
        fn and(self, other: Self) -> Self {
            v128_and(self, other)
        }
        fn or(self, other: Self) -> Self {
            v128_or(self, other)
        }
        fn shl<const BITS: u32>(self) -> Self {
            i32x4_shl(self, BITS)
        }
        fn min_int(self, other: Self) -> Self {
            i32x4_min(self, other)
        }
        fn narrow_i8(p: [Self; 4]) -> [u8; 16] {
            bytes(i8x16_narrow_i16x8(
                i16x8_narrow_i32x4(p[0], p[1]),
                i16x8_narrow_i32x4(p[2], p[3]),
            ))
        }
        fn narrow_u8(p: [Self; 4]) -> [u8; 16] {
            bytes(u8x16_narrow_i16x8(
                i16x8_narrow_i32x4(p[0], p[1]),
                i16x8_narrow_i32x4(p[2], p[3]),
            ))
        }
    }
}
