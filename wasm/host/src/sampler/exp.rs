//! The exponential function of numbers that are not positive.

use crate::vector::Vector;

/// Below this, e^x is no normal f32 and counts as zero.
const LOWEST: f32 = -87.336_54;

/// `e^x` for `x <= 0`, to 1.2e-7 relative; -infinity gives 0.
///
/// `x = n ln 2 + r` with |r| <= ln 2 / 2, then a polynomial for e^r (Cephes' expf) and n in the exponent bits.
#[inline(always)]
pub fn exp<V: Vector>(x: V) -> V {
    let in_range = x.ge(V::splat(LOWEST));
    let x = x.max(V::splat(LOWEST));
    let n = x
        .mul(V::splat(core::f32::consts::LOG2_E))
        .sub(V::splat(0.5))
        .truncate();
    let whole = n.to_float();
    // ln 2 in two parts: the first has few bits, so that its product with n is exact.
    let r = x
        .sub(whole.mul(V::splat(0.693_359_4)))
        .sub(whole.mul(V::splat(-2.121_944_4e-4)));
    let mut p = V::splat(1.987_569_1e-4);
    for c in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p.mul(r).add(V::splat(c));
    }
    let p = p.mul(r).mul(r).add(r).add(V::splat(1.0));
    let power = n.add_int(V::splat_bits(127)).shl::<23>();
    p.mul(power).and(in_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_exponential_function() {
        let mut worst = 0f64;
        for i in 0..880_000 {
            let x = -i as f32 / 10_000.0;
            let [got, ..] = exp(<[u32; 4]>::splat(x)).to_array();
            if x < LOWEST {
                assert_eq!(got, 0.0);
            } else {
                worst = worst.max((got as f64 / (x as f64).exp() - 1.0).abs());
            }
        }
        assert!(worst < 1.2e-7, "{worst}");
        assert_eq!(exp(<[u32; 4]>::splat(f32::NEG_INFINITY)).to_array()[0], 0.0);
        assert_eq!(exp(<[u32; 4]>::splat(0.0)).to_array()[0], 1.0);
    }
}
