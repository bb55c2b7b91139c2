//! Number types of the KV cache.

use crate::vector::Lanes;

/// What the cache stores a number as.
pub trait Element: Copy {
    /// Stored numbers load as their value divided by this, which saves a multiplication for each.
    const SCALE: f32;
    /// # Safety
    /// `from` holds four elements.
    unsafe fn load<V: Lanes>(from: *const Self) -> V;
    /// The nearest stored number.
    fn from_f32(value: f32) -> Self;
}

impl Element for f32 {
    const SCALE: f32 = 1.0;
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(from) }
    }
    fn from_f32(value: f32) -> Self {
        value
    }
}

/// IEEE half precision, finite: greater magnitudes are clamped.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct F16(pub u16);

impl Element for F16 {
    /// 2^112: see [`Lanes::load_f16`].
    const SCALE: f32 = f32::from_bits(239 << 23);
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_f16(from.cast()) }
    }
    fn from_f32(value: f32) -> Self {
        // 2^-112 times the value has a half's exponent and, for subnormals, its mantissa in place.
        let scaled = value.clamp(-65504.0, 65504.0) * f32::from_bits(15 << 23);
        let bits = scaled.to_bits();
        let magnitude = bits & 0x7fff_ffff;
        let rounded = (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
        F16((bits >> 16 & 0x8000 | rounded & 0x7fff) as u16)
    }
}

/// The upper half of a float32.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl Element for Bf16 {
    const SCALE: f32 = 1.0;
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_bf16(from.cast()) }
    }
    fn from_f32(value: f32) -> Self {
        if value.is_nan() {
            return Bf16(0x7fc0);
        }
        let bits = value.to_bits();
        Bf16((bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load<E: Element>(value: E) -> f32 {
        // SAFETY: four elements.
        unsafe { E::load::<[f32; 4]>([value; 4].as_ptr())[0] * E::SCALE }
    }

    #[test]
    fn every_half_survives_the_round_trip() {
        for bits in 0..=0xffffu16 {
            if bits & 0x7c00 != 0x7c00 {
                assert_eq!(F16::from_f32(load(F16(bits))).0, bits);
            }
        }
    }

    #[test]
    fn halves_round_to_nearest_even_and_clamp() {
        let ulp = 2f32.powi(-10);
        for (value, want) in [
            (1.0 + 0.4 * ulp, 1.0),
            (1.0 + 0.5 * ulp, 1.0),
            (1.0 + 0.6 * ulp, 1.0 + ulp),
            (1.0 + 1.5 * ulp, 1.0 + 2.0 * ulp),
            (2.0 - 0.1 * ulp, 2.0),
            (1e6, 65504.0),
            (-1e6, -65504.0),
            (1e-9, 0.0),
        ] {
            assert_eq!(load(F16::from_f32(value)), want, "{value}");
        }
    }

    #[test]
    fn bfloat16_rounds_to_nearest_even() {
        let ulp = 2f32.powi(-7);
        for (value, want) in [
            (1.0 + 0.4 * ulp, 1.0),
            (1.0 + 0.5 * ulp, 1.0),
            (1.0 + 1.5 * ulp, 1.0 + 2.0 * ulp),
            (-3.0, -3.0),
        ] {
            assert_eq!(load(Bf16::from_f32(value)), want, "{value}");
        }
        assert!(load(Bf16::from_f32(f32::NAN)).is_nan());
    }
}
