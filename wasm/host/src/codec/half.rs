//! f16 and bf16 against f32: exact one way, round to nearest even the other.

use crate::vector::Vector;

/// The f16 with these bits.
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = (bits as u32 & 0x8000) << 16;
    let magnitude = (bits as u32 & 0x7fff) << 13;
    // The exponent's bias goes from 15 to 127 by a multiplication, which makes subnormal numbers normal too.
    let value = (f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)).to_bits();
    let special = if magnitude >= 0x0f80_0000 {
        0x7f80_0000
    } else {
        0
    };
    f32::from_bits(value | special | sign)
}

/// Four f16 in the low halves of the lanes; [`f16_to_f32`] is its oracle.
#[inline(always)]
pub fn widen_f16<V: Vector>(bits: V) -> V {
    let sign = bits.and(V::splat_bits(0x8000)).shl::<16>();
    let magnitude = bits.and(V::splat_bits(0x7fff)).shl::<13>();
    let value = magnitude.mul(V::splat_bits(0x7780_0000));
    // As floats: magnitudes are ordered like their bits.
    let special = magnitude
        .ge(V::splat_bits(0x0f80_0000))
        .and(V::splat_bits(0x7f80_0000));
    value.or(special).or(sign)
}

/// Bits of the nearest f16; beyond 65,519 infinity, NaN stays NaN. Without branches, so that loops over it vectorize.
#[inline(always)]
pub fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Normal: move the exponent's bias, then round what is cut off. Subnormal: an addition to 0.5 lets the hardware round at 2^-24.
    let normal = magnitude.wrapping_add(0xc800_0fff + ((magnitude >> 13) & 1)) >> 13;
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0x3f00_0000);
    let special = if magnitude > 0x7f80_0000 {
        0x7e00 | ((magnitude >> 13) & 0x3ff)
    } else {
        0x7c00
    };
    let finite = if magnitude < 0x3880_0000 {
        subnormal
    } else {
        normal
    };
    (sign
        | if magnitude >= 0x4780_0000 {
            special
        } else {
            finite
        }) as u16
}

/// Bits of the nearest bf16; NaN becomes a quiet one.
#[inline(always)]
pub fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 {
        quiet
    } else {
        rounded
    }) as u16
}

/// The bf16 with these bits.
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_survives_the_round_trip() {
        for bits in 0..=u16::MAX {
            let value = f16_to_f32(bits);
            let vector = widen_f16([bits as u32; 4]);
            assert_eq!(vector, [value.to_bits(); 4]);
            if value.is_nan() {
                assert!(f16_to_f32(f32_to_f16(value)).is_nan());
            } else {
                assert_eq!(f32_to_f16(value), bits, "{value}");
            }
        }
        assert_eq!(f16_to_f32(0x0001), 2f32.powi(-24));
        assert_eq!(f16_to_f32(0x3555), 0.333_251_95);
        assert_eq!(f16_to_f32(0x7bff), 65504.0);
    }

    #[test]
    fn f16_rounds_to_nearest_even() {
        for bits in 0..0x7c00u16 {
            let (low, high) = (
                f16_to_f32(bits) as f64,
                if bits == 0x7bff {
                    65536.0
                } else {
                    f16_to_f32(bits + 1) as f64
                },
            );
            let middle = ((low + high) / 2.0) as f32;
            assert_eq!(
                f32_to_f16(middle),
                bits + (bits & 1),
                "the middle above {low}"
            );
            assert_eq!(f32_to_f16(middle.next_down()), bits);
            assert_eq!(f32_to_f16(-middle.next_up()), 0x8000 | (bits + 1));
        }
        assert_eq!(f32_to_f16(f32::MAX), 0x7c00);
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        for bits in (0..0x7f80u16).chain(0x8000..0xff80) {
            let value = bf16_to_f32(bits);
            assert_eq!(f32_to_bf16(value), bits);
            let middle = f32::from_bits(value.to_bits() + 0x8000);
            assert_eq!(f32_to_bf16(middle), bits + (bits & 1));
            assert_eq!(
                f32_to_bf16(f32::from_bits(value.to_bits() + 0x8001)),
                bits + 1
            );
        }
        assert!(bf16_to_f32(f32_to_bf16(f32::from_bits(0x7f80_0001))).is_nan());
    }
}
